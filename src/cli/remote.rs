//! A server that works on the data folder, and how the command line talks to it.
//!
//! ```text
//! DATA/server ─► is it there, and the one that wrote this? ─► its API
//!                               └─► nobody works there: the folder itself
//! ```
//! **Invariant:** a file that was left behind is never believed: the server itself says that it wrote it.

mod client;
mod follow;
mod parse;

use std::path::Path;

use headframe::api::Marker;
use serde_json::Value;

pub(crate) use self::{
    client::Client,
    follow::{Ending, follow},
};
use super::{Common, exit::Error, out::Out, shown};

/// The server that works on this folder, if one does.
pub(crate) async fn server(folder: &Path) -> Option<Client> {
    let marker = Marker::read(folder)?;
    let client = Client::new(marker);
    client.is_ours().await.then_some(client)
}

/// Say which server has the folder that a command wanted for itself.
pub(crate) async fn explain(common: &Common, out: Out) {
    if let Some(client) = server(&common.data).await {
        let Marker { address, pid, .. } = client.marker();
        out.note(format_args!(
            "the server at http://{address} works there: this needs it stopped (`kill {pid}`); `run`, `doubt resolve` and `runs list|watch|cancel` go through it"
        ));
    }
}

/// A run by its id, the beginning of one, or `last`, as the server knows it.
pub(crate) async fn find(client: &Client, wanted: &str) -> Result<String, Error> {
    let rows = list(client).await?;
    if wanted == "last" {
        let newest = rows.first().and_then(|row| row["run"].as_str());
        return newest.map(str::to_owned).ok_or_else(|| Error::NotFound("there are no runs yet".to_owned()));
    }
    let digits = wanted.strip_prefix("run_").unwrap_or(wanted).replace('-', "").to_ascii_lowercase();
    let ids = rows.iter().filter_map(|row| row["run"].as_str());
    let mut found = ids.filter(|id| !digits.is_empty() && id.trim_start_matches("run_").starts_with(&digits));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id.to_owned()),
        (Some(_), Some(_)) => Err(Error::Usage(format!("`{wanted}` fits more than one run: give more of the id"))),
        (None, _) => Err(Error::NotFound(format!("there is no run `{}`", shown::cut(wanted, 80)))),
    }
}

/// All runs, newest first, as the server tells them.
pub(crate) async fn list(client: &Client) -> Result<Vec<Value>, Error> {
    let (mut rows, mut path) = (Vec::new(), "/v1/runs?limit=500".to_owned());
    loop {
        let mut page = client.get(&path).await?;
        if let Some(Value::Array(runs)) = page.get_mut("runs").map(Value::take) {
            rows.extend(runs);
        }
        match page["next"].as_str() {
            Some(next) => path = format!("/v1/runs?limit=500&cursor={next}"),
            None => return Ok(rows),
        }
    }
}

/// Say whom the answer comes from.
pub(crate) fn note(client: &Client, out: Out) {
    out.note(format_args!("through the server at http://{}", client.marker().address));
}
