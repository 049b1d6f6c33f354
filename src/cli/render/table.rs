//! Aligned columns without borders.

use comfy_table::{Cell, Color, ColumnConstraint, ContentArrangement, Table, presets};

use super::Style;
use super::text::{Tone, plain};

/// Builds a table; every cell is made safe to show.
pub struct Columns {
    table: Table,
    colour: bool,
}

impl Columns {
    /// A table with a heading per column.
    pub fn new(style: &Style, headings: &[&str]) -> Self {
        let mut table = Self::bare(style);
        let heading = |text: &&str| {
            let cell = Cell::new(text.to_uppercase());
            if style.colour {
                cell.add_attribute(comfy_table::Attribute::Dim)
            } else {
                cell
            }
        };
        table.table.set_header(headings.iter().map(heading));
        table
    }

    /// A table without headings.
    pub fn bare(style: &Style) -> Self {
        let mut table = Table::new();
        table
            .load_style(presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .force_no_tty();
        if let Some(width) = style.width {
            table.set_width(width);
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        if style.colour {
            table.enforce_styling();
        }
        Self {
            table,
            colour: style.colour,
        }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: &[&str]) -> &mut Self {
        let cells: Vec<(&str, Option<Tone>)> = cells.iter().map(|text| (*text, None)).collect();
        self.toned(&cells)
    }

    /// Adds a row, some cells of which mean something good or bad.
    pub fn toned(&mut self, cells: &[(&str, Option<Tone>)]) -> &mut Self {
        let cell = |(text, tone): &(&str, Option<Tone>)| {
            let cell = Cell::new(plain(text));
            match tone.filter(|_| self.colour) {
                Some(Tone::Good) => cell.fg(Color::Green),
                Some(Tone::Warn) => cell.fg(Color::Yellow),
                Some(Tone::Bad) => cell.fg(Color::Red),
                Some(Tone::Faint) => cell.add_attribute(comfy_table::Attribute::Dim),
                Some(Tone::Strong) => cell.add_attribute(comfy_table::Attribute::Bold),
                None => cell,
            }
        };
        let cells: Vec<Cell> = cells.iter().map(cell).collect();
        self.table.add_row(cells);
        self
    }

    /// Never breaks the texts of a column: ids are copied by hand.
    pub fn keep_whole(&mut self, column: usize) -> &mut Self {
        if let Some(column) = self.table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        self
    }

    /// The lines, each ended, without blanks at their ends.
    pub fn render(&mut self) -> String {
        for column in self.table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = String::new();
        for line in self.table.lines() {
            text += line.trim_end();
            text.push('\n');
        }
        text
    }
}
