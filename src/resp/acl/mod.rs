//! Who may do what: users, as Redis 7.0 has them.
//!
//! A connection holds its user, and a change of the user's rules holds from its next command on. A user
//! that may do everything costs a command one look at a flag. Users are kept as documents of the store,
//! `acl/<name>`; the node's own secret is the password of `default` from each start on.

mod denied;
mod refusal;
mod rules;
mod selector;
mod spell;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ringwell_storage::documents::{Document, DocumentError};
use ringwell_storage::keyspace::Bytes;
use ringwell_storage::model::WalPosition;
use ringwell_storage::store::Store;

use self::denied::Denied;
pub(super) use self::denied::Entry;
pub(super) use self::rules::Rules;
pub(super) use self::selector::{CATEGORIES, Denial, Selector};

/// The user of connections that did not say who they are.
const DEFAULT: &[u8] = b"default";
/// Documents of users begin so.
const PREFIX: &[u8] = b"acl/";

/// One user.
#[derive(Debug)]
pub(super) struct User {
    pub(super) name: Bytes,
    rules: RwLock<Arc<Rules>>,
    /// Whether nothing is denied.
    free: AtomicBool,
}

/// All users, and what was denied them.
#[derive(Debug)]
pub(super) struct Users {
    users: RwLock<BTreeMap<Bytes, Arc<User>>>,
    default: Arc<User>,
    /// Whether `default` needs no password.
    open: AtomicBool,
    /// Held by whoever changes users, so that what is kept is what holds.
    changing: Mutex<()>,
    denied: Mutex<Denied>,
}

/// A change that is done.
pub(super) struct Changed {
    pub(super) user: Arc<User>,
    /// Whether channels may have been taken from the user.
    pub(super) fewer_channels: bool,
    /// Where the log ends for it.
    pub(super) position: WalPosition,
}

/// Why users are not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChangeError {
    #[error("Unmatched parenthesis in acl selector starting at '{0}'.")]
    Unmatched(String),
    #[error("Error in ACL SETUSER modifier '{0}': {1}")]
    Rule(String, refusal::Refusal),
    #[error("Usernames can't contain spaces or null characters")]
    Name,
    #[error("The 'default' user cannot be removed")]
    Default,
    #[error("The users cannot be kept: {0}")]
    NotKept(#[from] DocumentError),
}

impl User {
    fn new(name: Bytes, rules: Rules) -> User {
        let free = AtomicBool::new(rules.is_free());
        User { name, rules: RwLock::new(Arc::new(rules)), free }
    }

    /// Whether nothing is denied this user.
    pub(super) fn is_free(&self) -> bool {
        self.free.load(Ordering::Relaxed)
    }

    pub(super) fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, rules: Rules) {
        self.free.store(rules.is_free(), Ordering::Relaxed);
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    /// Whether a channel may be heard, or a pattern of channels.
    pub(super) fn hears(&self, channel: &[u8], pattern: bool) -> bool {
        self.rules().hears(channel, pattern)
    }
}

impl Users {
    /// `default` alone; a secret is its password.
    pub(super) fn new(secret: Option<&[u8]>) -> Users {
        let mut rules = Rules::everything();
        rules.set_password(secret);
        let default = Arc::new(User::new(Bytes::from(DEFAULT), rules));
        let users = BTreeMap::from([(Bytes::clone(&default.name), Arc::clone(&default))]);
        let users = Users {
            users: RwLock::new(users),
            default,
            open: AtomicBool::new(false),
            changing: Mutex::default(),
            denied: Mutex::default(),
        };
        users.look_at_default();
        users
    }

    /// The users that a store keeps; a secret stays the password of `default`.
    pub(super) fn load(&self, store: &Store, secret: Option<&[u8]>) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, document) in store.documents(PREFIX) {
            let mut rules = Rules::of_document(&document);
            if name == DEFAULT {
                if secret.is_some() {
                    rules.set_password(secret);
                }
                self.default.put(rules);
            } else {
                let name = Bytes::from(name);
                let user = Arc::new(User::new(Bytes::clone(&name), rules));
                self.users.write().unwrap_or_else(PoisonError::into_inner).insert(name, user);
            }
        }
        self.look_at_default();
    }

    /// The user of a connection that has not said who it is.
    pub(super) fn default(&self) -> &Arc<User> {
        &self.default
    }

    /// Whether `default` needs no password.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Arc<User>> {
        self.users.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All of them by name.
    pub(super) fn all(&self) -> Vec<Arc<User>> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.values().cloned().collect()
    }

    /// The user, if the password is right and the user not switched off.
    pub(super) fn log_in(&self, name: &[u8], password: &[u8]) -> Option<Arc<User>> {
        self.get(name).filter(|user| user.rules().lets_in(password))
    }

    /// Makes a user or changes one, as all of the rules say or not at all.
    pub(super) fn set(
        &self,
        store: &Store,
        name: &[u8],
        rules: &[&[u8]],
        channels: bool,
    ) -> Result<Changed, ChangeError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        selector::plain(name).map_err(|_| ChangeError::Name)?;
        let rules = rules::merge(rules).map_err(|begins| ChangeError::Unmatched(text(begins)))?;
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.get(name);
        let before = known.as_ref().map(|user| user.rules());
        let begin =
            before.as_ref().map_or_else(|| Rules::none(channels), |rules| (**rules).clone());
        let after = begin
            .change(&rules, channels)
            .map_err(|(rule, refusal)| ChangeError::Rule(text(&rule), refusal))?;
        let document = Document { name: [PREFIX, name].concat(), body: Some(after.document()) };
        let position = store.set_documents(vec![document])?;
        let fewer_channels = before.is_some_and(|before| !after.has_channels_of(&before));
        let user = match known {
            Some(user) => {
                user.put(after);
                user
            }
            None => {
                let user = Arc::new(User::new(Bytes::from(name), after));
                let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
                users.insert(Bytes::from(name), Arc::clone(&user));
                drop(users);
                user
            }
        };
        self.look_at_default();
        Ok(Changed { user, fewer_channels, position })
    }

    /// Takes users away; gives those that were there.
    pub(super) fn remove(
        &self,
        store: &Store,
        names: &[&[u8]],
    ) -> Result<(Vec<Arc<User>>, Option<WalPosition>), ChangeError> {
        if names.contains(&DEFAULT) {
            return Err(ChangeError::Default);
        }
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone: Vec<Arc<User>> = Vec::new();
        for user in names.iter().filter_map(|name| self.get(name)) {
            if gone.iter().all(|known| !Arc::ptr_eq(known, &user)) {
                gone.push(user);
            }
        }
        if gone.is_empty() {
            return Ok((gone, None));
        }
        let document =
            |user: &Arc<User>| Document { name: [PREFIX, &user.name].concat(), body: None };
        // The log may be written here, and nobody's login waits for that.
        let position = store.set_documents(gone.iter().map(document).collect())?;
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        for user in &gone {
            users.remove(&user.name);
            // Its connections end at their next turn, and do nothing more in it.
            user.put(Rules::none(false));
        }
        Ok((gone, Some(position)))
    }

    /// Gives `default` this password, until the node stops.
    pub(super) fn set_default_password(&self, password: &[u8]) {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rules = (*self.default.rules()).clone();
        rules.set_password(Some(password).filter(|password| !password.is_empty()));
        self.default.put(rules);
        self.look_at_default();
    }

    fn look_at_default(&self) {
        let rules = self.default.rules();
        self.open.store(rules.enabled && rules.no_password, Ordering::Relaxed);
    }

    /// Notes what was denied; at most so many entries are kept.
    pub(super) fn note_denied(&self, entry: Entry, limit: usize) {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).note(entry, limit);
    }

    /// What was denied last, the newest first.
    pub(super) fn denied(&self, count: usize) -> Vec<Entry> {
        let denied = self.denied.lock().unwrap_or_else(PoisonError::into_inner);
        denied.0.iter().take(count).cloned().collect()
    }

    pub(super) fn forget_denied(&self) {
        self.denied.lock().unwrap_or_else(PoisonError::into_inner).0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rules: &str) -> Result<Rules, (Vec<u8>, refusal::Refusal)> {
        let words: Vec<&[u8]> = rules.split(' ').map(str::as_bytes).collect();
        Rules::none(false).change(&rules::merge(&words).unwrap(), false)
    }

    #[test]
    fn what_is_kept_makes_the_same_user_and_what_is_shown_too() {
        for text in [
            "on nopass ~* &* +@all",
            ">a >b <a skip-sanitize-payload +@set -sadd ~a* %R~b) %W~c &x &y",
            "+@all -@dangerous +keys -client|kill -select +select|0",
            "on (+get ~a) (+@read %R~x) +config|get",
        ] {
            let rules = made(text).unwrap();
            assert_eq!(Rules::of_document(&rules.document()), rules, "{text}");
            let line = String::from_utf8(rules.line()).unwrap();
            assert_eq!(made(&line).unwrap(), rules, "{text}: {line}");
        }
    }

    #[test]
    fn rules_are_refused_with_their_reason() {
        use refusal::Refusal;
        for (text, refusal) in [
            ("+nope", Refusal::Unknown),
            ("+config|nope", Refusal::Unknown),
            ("+config|get|x", Refusal::FirstOfSub),
            ("+debug|", Refusal::Syntax),
            ("nonsense", Refusal::Syntax),
            ("%~", Refusal::Syntax),
            ("~* ~a", Refusal::KeysAfterAll),
            ("(&* &a)", Refusal::ChannelsAfterAll),
            ("<a", Refusal::NoSuchPassword),
            ("#00", Refusal::Hash),
        ] {
            assert_eq!(made(text).map_err(|(_, why)| why), Err(refusal), "{text}");
        }
    }
}
