//! WhatsApp, as crabline serves it to stock Baileys in the real sidecar.
//!
//! All that passes is encrypted, so that what becomes of a message is decided at the server, by the fault
//! layer that is loaded with it; what becomes of a connection, by a proxy of bytes. Nothing of it comes in
//! another order.

use std::sync::Arc;
use std::time::Duration;

use openclaw_actors::channel::ChannelSetup;
use openclaw_actors::channel::whatsapp::{Timing, WhatsAppSetup};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::{Pace, Peer, Sent};
use crate::harness::faults::{Break, Faults};
use crate::harness::proxy::closed;
use crate::harness::whatsapp::Server;

/// Ann.
const ANN: &str = "15550001111@s.whatsapp.net";

pub(crate) struct Platform {
    server: Server,
    setup: WhatsAppSetup,
    faults: Faults,
    _folder: TempDir,
}

impl Peer for Platform {
    const CHANNEL: &'static str = "whatsapp";
    const ENDS: &'static [Break] = &[
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    const BEARS: &'static [Break] = &[Break::Duplicate, Break::Dribble];
    const SENDS: &'static [Break] = &[
        Break::Refuse,
        Break::Hang,
        Break::HalfOpen,
        Break::CloseMidBody,
    ];
    /// Pings of ten minutes; the server bears no more of them at once.
    const QUIET: usize = 20;
    const FILES: bool = true;

    async fn start() -> Self {
        let faults = Faults::default();
        let folder = tempfile::tempdir().expect("a folder for the faults");
        let path = folder.path().join("faults");
        let listener = UnixListener::bind(&path).expect("a socket for the faults");
        tokio::spawn(decide(listener, faults.clone()));
        let server = Server::with(Some(&path)).await;
        let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = proxy.local_addr().expect("its address").port();
        let own = server.platform.address().port();
        tokio::spawn(pass(proxy, own, faults.clone()));
        let mut setup = server.setup();
        let url = server.url();
        setup.server = Some(url.replacen(&format!(":{own}/"), &format!(":{port}/"), 1));
        Self {
            server,
            setup,
            faults,
            _folder: folder,
        }
    }

    fn setup(&self, pace: Pace) -> Arc<dyn ChannelSetup> {
        let keep_alive = Duration::from_millis(match pace {
            Pace::Short => 1_000,
            Pace::Long => 10_000,
            Pace::Quiet => 300,
        });
        Arc::new(WhatsAppSetup {
            timing: Timing {
                answer: pace.limit() * 5 / 2,
                keep_alive,
                ..self.setup.timing
            },
            ..self.setup.clone()
        })
    }

    fn people(&self) -> &'static [&'static str] {
        &["+15550001111"]
    }

    fn recipient(&self) -> String {
        "+15550001111".into()
    }

    fn faults(&self) -> &Faults {
        &self.faults
    }

    async fn write(&self, texts: &[&str]) {
        for text in texts {
            self.server.write(ANN, ANN, text).await;
        }
    }

    fn arrived(&self) -> Vec<String> {
        let arrived = self.server.arrived().into_iter();
        arrived.map(|(_, text)| text).collect()
    }

    async fn files(&self) -> Vec<Sent> {
        let files = self.server.files().into_iter();
        let sent = |file: Value| Sent {
            // A photo has no name there.
            name: file["name"].as_str().unwrap_or("cat.png").to_owned(),
            size: file["size"].as_u64(),
            text: file["text"].as_str().unwrap_or_default().to_owned(),
        };
        files.map(sent).collect()
    }
}

/// Tells the server what is broken, each time that it asks.
async fn decide(listener: UnixListener, faults: Faults) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut what = String::new();
        if stream.read_to_string(&mut what).await.is_err() {
            continue;
        }
        let how = match what.as_str() {
            "send" => faults.next_send(),
            "login" if faults.receiving() == Some(Break::Revoked) => faults.meet(),
            "receive" => faults.receiving(),
            _ => None,
        };
        let answer = how.map(|how| format!("{how:?}")).unwrap_or_default();
        // A server that is gone needs no answer.
        let _ = stream.write_all(answer.as_bytes()).await;
    }
}

/// Passes bytes on, as long as nothing is broken.
async fn pass(listener: TcpListener, upstream: u16, faults: Faults) {
    while let Ok((stream, _)) = listener.accept().await {
        let faults = faults.clone();
        tokio::spawn(async move { one(stream, upstream, &faults).await });
    }
}

async fn one(mut client: TcpStream, upstream: u16, faults: &Faults) {
    // Who has a wrong secret is told so by the server.
    let revoked = faults.receiving() == Some(Break::Revoked);
    let broken = faults.receiving().filter(|how| how.ends() && !revoked);
    if let Some(how) = broken {
        faults.meet();
        if matches!(how, Break::Hang | Break::HalfOpen) {
            closed(&mut client).await;
        }
        return;
    }
    let Ok(mut server) = TcpStream::connect(("127.0.0.1", upstream)).await else {
        return;
    };
    let _receiving = faults.begin();
    let (mut up, mut down) = (vec![0; 16_384], vec![0; 16_384]);
    loop {
        tokio::select! {
            how = faults.broken(), if !revoked => {
                match how {
                    Break::CloseMidBody => {
                        let _ = client.write_all(&[0x82, 0x7e, 0x01]).await;
                    }
                    Break::Hang | Break::HalfOpen => closed(&mut client).await,
                    _ => {}
                }
                return;
            }
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                faults.beat();
                if server.write_all(&up[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                let dribbles = faults.receiving() == Some(Break::Dribble);
                let size = if dribbles { 1 } else { count };
                for part in down[..count].chunks(size) {
                    if client.write_all(part).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    }
}
