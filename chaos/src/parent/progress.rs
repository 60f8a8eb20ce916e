//! A bar for whoever watches a terminal; nothing anywhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::Client;
use crate::args::Until;

pub(super) struct Progress {
    bar: ProgressBar,
    until: Until,
}

impl Progress {
    pub(super) fn new(until: Until) -> Self {
        let (length, unit) = match until {
            Until::Kills(kills) => (u64::from(kills), "kills"),
            Until::Over(length) => (length.as_secs(), "s"),
        };
        // Draws on stderr, and only if that is a terminal.
        let bar = ProgressBar::new(length);
        let template = format!("{{bar:32.cyan/dim}} {{pos}}/{{len}} {unit}  {{wide_msg}}  {{elapsed}}");
        let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style);
        Self { bar, until }
    }

    pub(super) fn killed(&self, kills: u32, elapsed: Duration, client: &Client) {
        let (acknowledged, complaints) = (client.submitted.len(), client.complaints.len());
        let wrong = if complaints == 0 { String::new() } else { format!(", {complaints} complaints") };
        match self.until {
            Until::Kills(_) => self.bar.set_position(u64::from(kills)),
            Until::Over(_) => self.bar.set_position(elapsed.as_secs()),
        }
        self.bar.set_message(format!("{kills} kills, {acknowledged} runs{wrong}"));
    }

    pub(super) fn finishing(&self) {
        self.bar.set_message("everything ends, then everything is read");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
