//! `location.get`: where this node is, from gpsd or as its owner said.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use openclaw_client::node::{CommandError, Node};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a place may take to be found when the caller names no time.
const DEFAULT: Duration = Duration::from_secs(10);
/// Longest line of gpsd that is read, bytes.
const MAX_LINE: u64 = 16 * 1024;
/// How precise a fixed place is when its owner does not say, metres.
const FIXED_ACCURACY: f64 = 50.0;
/// A degree is about 111 km: a hundredth of it names a part of a town.
const COARSE_METRES: f64 = 1_000.0;

/// Where the place comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum LocationSource {
    /// A gpsd that listens there.
    Gpsd(String),
    /// It does not move.
    Fixed {
        /// Degrees north.
        lat: f64,
        /// Degrees east.
        lon: f64,
        /// Metres.
        accuracy: f64,
    },
}

impl LocationSource {
    /// Where gpsd listens by default.
    pub const GPSD: &'static str = "127.0.0.1:2947";
}

impl LocationSource {
    /// As it is written on a command line.
    pub fn word(&self) -> String {
        match self {
            Self::Gpsd(address) => address.clone(),
            Self::Fixed { lat, lon, accuracy } => format!("{lat},{lon},{accuracy}"),
        }
    }
}

impl fmt::Display for LocationSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpsd(address) => write!(out, "gpsd at {address}"),
            Self::Fixed { .. } => out.write_str("a fixed place"),
        }
    }
}

impl FromStr for LocationSource {
    type Err = String;

    /// `LAT,LON` or `LAT,LON,METRES` in degrees, or the `HOST:PORT` of a gpsd.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if !text.contains(',') {
            let port = text
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse::<u16>().ok());
            return match port {
                Some(_) => Ok(Self::Gpsd(text.to_owned())),
                None => Err("write LAT,LON in degrees, or HOST:PORT of a gpsd".into()),
            };
        }
        let numbers: Result<Vec<f64>, _> =
            text.split(',').map(|part| part.trim().parse()).collect();
        let fits = |lat: f64, lon: f64| lat.abs() <= 90.0 && lon.abs() <= 180.0;
        match numbers.as_deref() {
            Ok(&[lat, lon]) if fits(lat, lon) => Ok(Self::Fixed {
                lat,
                lon,
                accuracy: FIXED_ACCURACY,
            }),
            Ok(&[lat, lon, accuracy]) if fits(lat, lon) && accuracy >= 0.0 => {
                Ok(Self::Fixed { lat, lon, accuracy })
            }
            _ => Err("write LAT,LON in degrees, such as 52.52,13.405".into()),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Get {
    desired_accuracy: Option<String>,
    timeout_ms: Option<u64>,
}

/// A place.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    lat: f64,
    lon: f64,
    accuracy: f64,
    altitude: Option<f64>,
    speed: Option<f64>,
    heading: Option<f64>,
    time: Option<String>,
    source: &'static str,
}

/// Offers it.
pub(super) fn offer(node: &mut Node, source: &LocationSource) {
    let source = source.clone();
    node.cap("location").permission("location", true);
    node.command("location.get", move |mut asked| {
        let source = source.clone();
        async move {
            let wanted: Get = asked.params()?;
            let limit = wanted
                .timeout_ms
                .map_or(DEFAULT, Duration::from_millis)
                .min(asked.time);
            let place = match &source {
                LocationSource::Fixed { lat, lon, accuracy } => fixed(*lat, *lon, *accuracy),
                LocationSource::Gpsd(address) => found(address, limit).await?,
            };
            let coarse = wanted.desired_accuracy.as_deref() == Some("coarse");
            Ok(shown(&place, coarse, &now()))
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "the edge of the node: a fixed place is there now"
)]
fn now() -> String {
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH);
    format!("{now:.3}")
}

const fn fixed(lat: f64, lon: f64, accuracy: f64) -> Place {
    Place {
        lat,
        lon,
        accuracy,
        altitude: None,
        speed: None,
        heading: None,
        time: None,
        source: "fixed",
    }
}

/// A place as the protocol has it. A coarse one says no more than about where, and nothing of its motion.
fn shown(place: &Place, coarse: bool, now: &str) -> Value {
    let rounded = |degrees: f64| {
        if coarse {
            (degrees * 100.0).round() / 100.0
        } else {
            degrees
        }
    };
    let accuracy = if coarse {
        place.accuracy.max(COARSE_METRES)
    } else {
        place.accuracy
    };
    let mut value = json!({
        "lat": rounded(place.lat), "lon": rounded(place.lon), "accuracyMeters": accuracy,
        "timestamp": place.time.as_deref().unwrap_or(now), "isPrecise": !coarse, "source": place.source,
    });
    let more = [
        ("altitudeMeters", place.altitude),
        ("speedMps", place.speed),
        ("headingDeg", place.heading),
    ];
    for (key, number) in more.into_iter().filter(|_| !coarse) {
        if let Some(number) = number {
            value[key] = json!(number);
        }
    }
    value
}

/// What gpsd knows, within the time.
async fn found(address: &str, limit: Duration) -> Result<Place, CommandError> {
    let lost = |error: std::io::Error| {
        let message = format!("gpsd at {address}: {error}; is it running? (systemctl status gpsd)");
        CommandError::new("LOCATION_UNAVAILABLE", message)
    };
    let work = async {
        let mut stream = TcpStream::connect(address).await.map_err(lost)?;
        let watch = b"?WATCH={\"enable\":true,\"json\":true};\n";
        stream.write_all(watch).await.map_err(lost)?;
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_LINE).read_line(&mut line).await;
            if read.map_err(lost)? == 0 {
                return Err(lost(std::io::ErrorKind::UnexpectedEof.into()));
            }
            if let Some(place) = fix(&line) {
                return Ok(place);
            }
        }
    };
    timeout(limit, work).await.unwrap_or_else(|_| {
        let message = format!(
            "gpsd at {address} found no place within {} s",
            limit.as_secs_f64()
        );
        Err(CommandError::new("LOCATION_TIMEOUT", message))
    })
}

/// The place that a line of gpsd tells, if it tells one.
fn fix(line: &str) -> Option<Place> {
    let report: Value = serde_json::from_str(line.trim()).ok()?;
    // Mode 2 is a place, 3 one with its height.
    if report["class"] != "TPV" || report["mode"].as_u64()? < 2 {
        return None;
    }
    let number = |key: &str| report[key].as_f64();
    let worst = match (number("epx"), number("epy")) {
        (Some(x), Some(y)) => Some(x.hypot(y)),
        (one, other) => one.or(other),
    };
    Some(Place {
        lat: number("lat")?,
        lon: number("lon")?,
        // Without an estimate, what a receiver is known to reach in the open, and some.
        accuracy: number("eph").or(worst).unwrap_or(20.0),
        altitude: number("altMSL")
            .or_else(|| number("altHAE"))
            .or_else(|| number("alt")),
        speed: number("speed"),
        heading: number("track"),
        time: report["time"].as_str().map(str::to_owned),
        source: "gps",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_degrees_or_as_the_address_of_a_gpsd() {
        for (text, expected) in [
            (
                "52.52,13.405",
                LocationSource::Fixed {
                    lat: 52.52,
                    lon: 13.405,
                    accuracy: 50.0,
                },
            ),
            (
                "-33.9, 18.4, 5",
                LocationSource::Fixed {
                    lat: -33.9,
                    lon: 18.4,
                    accuracy: 5.0,
                },
            ),
            (
                "localhost:2947",
                LocationSource::Gpsd("localhost:2947".into()),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "91,0",
            "0,181",
            "1,2,-3",
            "1,b",
            "1",
            "host",
            "host:port",
            "1,2,3,4",
            "nan,0",
        ] {
            assert!(text.parse::<LocationSource>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_line_with_a_place_is_one() {
        for line in [
            "",
            r#"{"class":"VERSION","release":"3.22"}"#,
            r#"{"class":"TPV","mode":1}"#,
            r#"{"class":"TPV","mode":3,"lat":1.0}"#,
        ] {
            assert_eq!(fix(line), None, "{line}");
        }
        let line = r#"{"class":"TPV","mode":3,"time":"2026-01-01T00:00:00.000Z","lat":48.1,"lon":11.5,"altMSL":519.0,"epx":3.0,"epy":4.0,"speed":0.5,"track":90.0}"#;
        let place = fix(line).unwrap();
        assert_eq!(
            (place.lat, place.accuracy, place.altitude),
            (48.1, 5.0, Some(519.0))
        );
        let precise = shown(&place, false, "now");
        assert_eq!(precise["timestamp"], "2026-01-01T00:00:00.000Z");
        assert_eq!(
            (precise["source"].as_str(), precise["headingDeg"].as_f64()),
            (Some("gps"), Some(90.0))
        );
        let coarse = shown(&fixed(52.5219, 13.4132, 5.0), true, "now");
        assert_eq!(
            coarse,
            json!({
                "lat": 52.52, "lon": 13.41, "accuracyMeters": 1000.0, "timestamp": "now",
                "isPrecise": false, "source": "fixed",
            })
        );
    }
}
