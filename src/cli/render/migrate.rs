//! What was taken over from another gateway.

use super::Style;
use super::table::Columns;
use super::text::plain;
use crate::migrate::report::Report;

/// The report for people.
pub fn text(report: &Report, style: &Style) -> String {
    let verb = if report.dry_run {
        "would take"
    } else {
        "taken"
    };
    let mut table = Columns::new(style, &["what", verb, "here already", "left"]);
    for count in &report.counts {
        let [taken, there, left] =
            [count.taken, count.there, count.left].map(|number| number.to_string());
        table.row(&[count.what.name(), &taken, &there, &left]);
    }
    let mut text = format!(
        "From {} to {}\n{}",
        plain(&report.from.display().to_string()),
        plain(&report.to.display().to_string()),
        table.render(),
    );
    let mut list = |heading: &str, lines: Vec<String>| {
        if lines.is_empty() {
            return;
        }
        text.push('\n');
        text.push_str(heading);
        text.push('\n');
        for line in lines {
            text.push_str("  ");
            text.push_str(&plain(&line));
            text.push('\n');
        }
    };
    let mut left: Vec<String> = report
        .left
        .iter()
        .map(|left| format!("{}: {}", left.name, left.reason))
        .collect();
    if report.more_left > 0 {
        left.push(format!("and {} more", report.more_left));
    }
    list("Left behind:", left);
    list("Not known, and left behind:", report.unknown.clone());
    list("Worth knowing:", report.notes.clone());
    text.push_str(if report.dry_run {
        "\nNothing was written. Without --dry-run it is done.\n"
    } else {
        "\nNothing was changed there. Start this gateway: openclaw gateway; its channels wait for: openclaw channels start\n"
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::report::What;

    #[test]
    fn a_person_sees_what_came_along_and_what_did_not() {
        let mut report = Report::new(true, "/home/ada/.openclaw".into(), "/srv/claw".into());
        report.take(What::Devices, 2);
        report.there(What::Jobs);
        report.leave(What::Jobs, "Dreams (d1)", "it is\u{1b}[31m odd");
        report.unknown.push("mystery".into());
        report.notes.push("gateway.port is 1".into());
        let style = Style {
            colour: false,
            width: None,
            now_ms: 0,
        };
        let text = text(&report, &style);
        assert!(
            text.starts_with("From /home/ada/.openclaw to /srv/claw\n"),
            "{text}"
        );
        for line in [
            "Left behind:\n  Dreams (d1): it is",
            "Not known, and left behind:\n  mystery\n",
            "Nothing was written.",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
