//! Telling actors something from outside, and making the first of them.
//!
//! **Invariants:** a message that is not in a mailbox is given back with the reason. Whoever hears that something was
//! taken in hears it after that is durable.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Error, System, once};
use crate::{
    durable::{
        accepted::{Entrance, Existing},
        behavior::{Behavior, message_format, reply_format},
        codec,
        entry::Body,
        id::{ActorId, Partition},
        outbox::Address,
    },
    mutant::Mutant,
};

/// Why a message was not taken, or not answered. What is not in a mailbox for sure is given back.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SendError<M> {
    /// Back-pressure: rows wait to be written faster than the disk takes them, or the disk is full. Nothing was changed: try
    /// again later.
    #[error("HF0012: nothing more is taken in for now: {cause}; try again later")]
    Busy {
        /// What was to be said.
        message: M,
        /// What is waited for.
        cause: String,
    },
    /// It will never fit.
    #[error("HF0011: {bytes} bytes were to enter at once, and {max} are allowed: put large data aside as an artifact")]
    TooLarge {
        /// What was to be said.
        message: M,
        /// How large it is.
        bytes: usize,
        /// How large it may be.
        max: usize,
    },
    /// The store closed itself, or the system stopped: whether it was taken is not known. After a restart, repeat what was
    /// said with a key; without a key a repeat may be a second message.
    #[error(
        "HF0010: the outcome is unknown, because the store closed: {cause}; start again and repeat with the same key"
    )]
    Unknown {
        /// What was said, or not.
        message: M,
        /// What closed the store.
        cause: Arc<str>,
    },
    /// Asked, the actor refused.
    #[error("{0}")]
    Rejected(String),
    /// Asked, it did not reply in time. The message is not given back: it is in the mailbox and will still be taken.
    #[error("no reply within {waited:?}; the message is in the mailbox and will still be taken")]
    NoReplyYet {
        /// How long was waited.
        waited: Duration,
    },
    /// Asked, it took the message, and its reply does not decode.
    #[error("{0}")]
    Codec(codec::Error),
}

impl<M> SendError<M> {
    fn of(error: Error, message: M) -> Self {
        match error {
            Error::Busy { cause } => Self::Busy { message, cause },
            Error::TooLarge { bytes, max } => Self::TooLarge { message, bytes, max },
            Error::OutcomeUnknown { cause } => Self::Unknown { message, cause },
            Error::Rejected(reason) => Self::Rejected(reason),
            Error::NoReplyYet { waited } => Self::NoReplyYet { waited },
            Error::Codec(error) => Self::Codec(error),
            // None of these can come of a message that is sent.
            Error::Missing(_) | Error::LetterStays { .. } | Error::OpenCalls { .. } => {
                Self::Unknown { message, cause: error.to_string().into() }
            }
        }
    }

    /// The message, unless it is in the mailbox or was taken. Of [`SendError::Unknown`] nobody knows.
    #[must_use]
    pub fn into_message(self) -> Option<M> {
        match self {
            Self::Busy { message, .. } | Self::TooLarge { message, .. } | Self::Unknown { message, .. } => {
                Some(message)
            }
            Self::Rejected(_) | Self::NoReplyYet { .. } | Self::Codec(_) => None,
        }
    }
}

/// Says what happened and not what was to be said: a message may hold a secret, and need not be `Debug`.
impl<M> fmt::Debug for SendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({self})")
    }
}

impl<M> From<SendError<M>> for Error {
    fn from(error: SendError<M>) -> Self {
        match error {
            SendError::Busy { cause, .. } => Self::Busy { cause },
            SendError::TooLarge { bytes, max, .. } => Self::TooLarge { bytes, max },
            SendError::Unknown { cause, .. } => Self::OutcomeUnknown { cause },
            SendError::Rejected(reason) => Self::Rejected(reason),
            SendError::NoReplyYet { waited } => Self::NoReplyYet { waited },
            SendError::Codec(error) => Self::Codec(error),
        }
    }
}

impl System {
    /// The root actor of this behaviour that has this key: made with its first message if there was none yet, durable
    /// either way. A key names one actor for ever: after that one has finished, its address is that of a finished actor.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile: repeat after a restart, the key makes that safe.
    pub async fn spawn<B: Behavior>(&self, key: &str, first: &B::Message) -> Result<Address<B>, Error> {
        let row = spawned_key::<B>(key);
        let names = |actor: ActorId| vec![(row.clone(), Bytes::copy_from_slice(&actor.0.to_be_bytes()))];
        match self.spawn_root::<B>(Some(row.clone()), names, first).await? {
            Ok(address) => Ok(address),
            Err(Existing(value)) => read_address(key, &value),
        }
    }

    /// The root actor that [`System::spawn`] made under this key, finished or not; `None` if it made none.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed before.
    pub async fn find<B: Behavior>(&self, key: &str) -> Result<Option<Address<B>>, Error> {
        let value = self.get(&spawned_key::<B>(key)).await?;
        value.map(|value| read_address(key, &value)).transpose()
    }

    /// Make a root actor with its first message, unless the index row `unless` is there. Returns once that is durable.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`] if the store closed meanwhile.
    pub async fn spawn_root<B: Behavior>(
        &self,
        unless: Option<Bytes>,
        puts: impl FnOnce(ActorId) -> Vec<(Bytes, Bytes)>,
        first: &B::Message,
    ) -> Result<Result<Address<B>, Existing>, Error> {
        let (kind, first) = (codec::fnv1a(B::KIND), codec::seal(message_format::<B>(), first));
        let id = self.inner.ids.next();
        let partition = Partition(u8::try_from(id % 256).expect("below 256"));
        let actor = ActorId(id << 8 | u64::from(partition.0));
        let entrance = Entrance { unless, puts: puts(actor), root: Some((kind, actor, first)), ..Entrance::default() };
        match self.enter(entrance).await? {
            Ok(sequence) => {
                self.durable(sequence).await?;
                Ok(Ok(Address::new(actor)))
            }
            Err(existing) => {
                // What was read may be ahead of the disk; the answer must not be.
                if !Mutant::DuplicateAnsweredEarly.is_chosen() {
                    self.durable(self.inner.latest()).await?;
                }
                Ok(Err(existing))
            }
        }
    }

    /// Tell an actor something; returns once the message is durable in its mailbox.
    ///
    /// # Errors
    /// Gives the message back: see [`SendError`].
    pub async fn tell<B: Behavior>(&self, to: Address<B>, message: B::Message) -> Result<(), SendError<B::Message>> {
        let entrance = Entrance { deliver: Some((to.id, body::<B>(&message))), ..Entrance::default() };
        let told = async { self.durable(self.enter(entrance).await?.unwrap_or_default()).await };
        told.await.map_err(|error| SendError::of(error, message))
    }

    /// Tell an actor something once per key: a second call with the key does nothing. A key is remembered for 24 h from its
    /// first use, or as long as [`SystemBuilder::keys_kept`](super::SystemBuilder::keys_kept) says.
    ///
    /// # Errors
    /// Gives the message back: see [`SendError`]. Whatever the error, a repeat with the same key is safe.
    pub async fn tell_once<B: Behavior>(
        &self,
        key: &str,
        to: Address<B>,
        message: B::Message,
    ) -> Result<(), SendError<B::Message>> {
        let row = once::key(key);
        let entrance = Entrance {
            unless: Some(row.clone()),
            puts: vec![(row, once::row(self.inner.clock.now_ms()))],
            deliver: Some((to.id, body::<B>(&message))),
            ..Entrance::default()
        };
        let told = async {
            let sequence = self.enter(entrance).await?.unwrap_or_else(|_| self.inner.latest());
            self.durable(sequence).await
        };
        told.await.map_err(|error| SendError::of(error, message))
    }

    /// Ask an actor; the answer is that of the commit that took the message, and is durable.
    ///
    /// # Errors
    /// [`SendError::Rejected`] if the actor refused; [`SendError::NoReplyYet`] if it took longer than `within`: the message
    /// is in its mailbox and will still be taken. Otherwise the message is given back.
    pub async fn ask<B: Behavior>(
        &self,
        to: Address<B>,
        message: B::Message,
        within: Duration,
    ) -> Result<B::Reply, SendError<B::Message>> {
        let token = self.inner.ids.next();
        let (sender, receiver) = oneshot::channel();
        self.inner.core.lock().asks.insert(token, sender);
        let deliver = Some((to.id, body::<B>(&message)));
        let entered = self.enter(Entrance { deliver, reply: Some(token), ..Entrance::default() }).await;
        let reply = match entered {
            Ok(_) => tokio::time::timeout(within, receiver).await,
            Err(error) => {
                self.inner.core.lock().asks.remove(&token);
                return Err(SendError::of(error, message));
            }
        };
        self.inner.core.lock().asks.remove(&token);
        match reply {
            Err(_) => Err(SendError::NoReplyYet { waited: within }),
            Ok(Err(_)) => Err(SendError::of(self.inner.unknown(), message)),
            Ok(Ok(Err(reason))) => Err(SendError::Rejected(reason)),
            Ok(Ok(Ok(sealed))) => codec::open(reply_format::<B>(), &sealed).map_err(SendError::Codec),
        }
    }
}

fn body<B: Behavior>(message: &B::Message) -> Body {
    Body::Message(codec::seal(message_format::<B>(), message))
}

/// The kind's part is of one length, so that no two pairs of kind and key share a row.
fn spawned_key<B: Behavior>(key: &str) -> Bytes {
    Bytes::from(format!("spawned/{:08x}/{key}", codec::fnv1a(B::KIND)))
}

fn read_address<B>(key: &str, value: &[u8]) -> Result<Address<B>, Error> {
    let id = value.try_into().map_err(|_| Error::Missing(format!("actor that the row of key `{key}` names")))?;
    Ok(Address::new(ActorId(u64::from_be_bytes(id))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::behavior::{Rejection, Turn};

    struct Counter;

    impl Behavior for Counter {
        const KIND: &'static str = "counter";
        const VERSION: u16 = 1;
        type State = ();
        type Message = ();
        type Event = ();
        type Reply = ();

        fn decide(_: &mut Turn<'_, Self>, (): ()) -> Result<(), Rejection> {
            Ok(())
        }

        fn apply((): &mut (), (): &()) {}
    }

    /// Keys that stay on disk: under another one, what was said once is said again.
    #[test]
    fn keys_of_what_is_done_once_keep_their_bytes() {
        assert_eq!(&once::key("order-7")[..], b"once/order-7");
        assert_eq!(&spawned_key::<Counter>("order-7")[..], b"spawned/9cacde23/order-7");
    }
}
