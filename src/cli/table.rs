//! Tables without lines, because those are easier to read and to cut.
//!
//! **Invariant:** no spaces at the ends of lines.

use comfy_table::{ContentArrangement, Table, presets};

use super::{exit::Error, out::Out};

/// An empty table.
pub(crate) fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

/// Data, as a table on stdout.
pub(crate) fn print(out: Out, table: &mut Table) -> Result<(), Error> {
    table.column_iter_mut().for_each(|column| _ = column.set_padding((0, 2)));
    Ok(out.line(table.trim_fmt())?)
}
