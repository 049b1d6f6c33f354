//! Bars and lines of the results, as SVG.
//!
//! `bench-plot bars TITLE UNIT FILE.svg < rows`: a row is `group;name;value`, one colour for each name
//! `bench-plot lines TITLE UNIT FILE.svg < rows`: a row is `name;x y,x y,...`, both axes logarithmic

use std::io::Read as _;

use plotters::prelude::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const SIZE: (u32, u32) = (760, 380);
/// Legible on a light and on a dark page, and by those who see no red or green (Okabe and Ito).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(213, 94, 0),
];

/// The next round number above this.
fn ceiling(most: f64) -> f64 {
    10_f64.powf(most.log10().ceil())
}

fn bars(title: &str, unit: &str, file: &str, rows: &str) -> Outcome {
    let rows: Vec<(&str, &str, f64)> = rows
        .lines()
        .filter_map(|row| {
            let mut parts = row.split(';');
            Some((
                parts.next()?,
                parts.next()?,
                parts.next()?.trim().parse().ok()?,
            ))
        })
        .collect();
    let mut groups: Vec<&str> = rows.iter().map(|row| row.0).collect();
    groups.dedup();
    let mut names: Vec<&str> = Vec::new();
    for (_, name, _) in &rows {
        if !names.contains(name) {
            names.push(name);
        }
    }
    let most = ceiling(rows.iter().map(|row| row.2).fold(1.0, f64::max));
    let least = rows.iter().map(|row| row.2).fold(1.0, f64::min);
    let least = 10_f64.powf(least.max(0.01).log10().floor());
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..groups.len() as f64, (least..most).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .y_desc(unit)
        .x_labels(0)
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    let width = 0.8 / names.len() as f64;
    for (at, name) in names.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let own = rows.iter().filter(|row| row.1 == *name);
        let drawn = own.map(|(group, _, value)| {
            let place = groups.iter().position(|one| one == group).unwrap_or(0) as f64;
            let left = place + 0.1 + at as f64 * width;
            Rectangle::new(
                [(left, least), (left + width * 0.92, value.max(least))],
                colour.filled(),
            )
        });
        chart
            .draw_series(drawn)?
            .label(*name)
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], colour.filled()));
        let own = rows.iter().filter(|row| row.1 == *name);
        chart.draw_series(own.map(|(group, _, value)| {
            let place = groups.iter().position(|one| one == group).unwrap_or(0) as f64;
            let left = place + 0.1 + at as f64 * width;
            EmptyElement::at((left, value.max(least)))
                + Text::new(format!("{value}"), (1, -13), ("sans-serif", 12))
        }))?;
    }
    let labels = groups.iter().enumerate().map(|(at, group)| {
        EmptyElement::at((at as f64 + 0.1, least))
            + Text::new((*group).to_owned(), (0, 8), ("sans-serif", 13))
    });
    chart.draw_series(labels)?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

fn lines(title: &str, unit: &str, file: &str, rows: &str) -> Outcome {
    let rows: Vec<(&str, Vec<(f64, f64)>)> = rows
        .lines()
        .filter_map(|row| {
            let (name, points) = row.split_once(';')?;
            let points = points.split(',').filter_map(|point| {
                let (x, y) = point.trim().split_once(' ')?;
                Some((x.trim().parse().ok()?, y.trim().parse().ok()?))
            });
            Some((name, points.collect()))
        })
        .collect();
    let all = || rows.iter().flat_map(|row| row.1.iter());
    let right = ceiling(all().map(|point| point.0).fold(10.0, f64::max));
    let top = ceiling(all().map(|point| point.1).fold(10.0, f64::max));
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(70)
        .build_cartesian_2d((1.0..right).log_scale(), (1.0..top).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("how many there are")
        .y_desc(unit)
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| format!("{value}"))
        .draw()?;
    for (at, (name, points)) in rows.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    root.present()?;
    Ok(())
}

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [kind, title, unit, file] = args.as_slice() else {
        return Err("usage: bench-plot bars|lines TITLE UNIT FILE.svg < rows".into());
    };
    let mut rows = String::new();
    std::io::stdin().read_to_string(&mut rows)?;
    match kind.as_str() {
        "bars" => bars(title, unit, file, &rows),
        "lines" => lines(title, unit, file, &rows),
        other => Err(format!("unknown kind {other}").into()),
    }
}
