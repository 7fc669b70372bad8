//! What one user may do, and how it is said: the rules of ACL SETUSER.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::refusal::Refusal;
use super::selector::{Denial, Selector};
use crate::resp::facts::Facts;

/// Most passwords, and most selectors, of a user.
const MAX: usize = 1_000;

/// A user's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::resp) struct Rules {
    pub(super) enabled: bool,
    /// Any password is right.
    pub(super) no_password: bool,
    /// Whether what RESTORE brings is checked, where that was said; it always is.
    pub(super) sanitize: Option<bool>,
    /// SHA-256 of each, in hexadecimal.
    pub(super) passwords: Vec<String>,
    pub(super) root: Selector,
    pub(super) others: Vec<Selector>,
}

impl Rules {
    /// A user that may do nothing yet; `channels` = but hear and use all channels.
    pub(super) fn none(channels: bool) -> Rules {
        let mut root = Selector { all_channels: channels, ..Selector::default() };
        root.commands.set_all(false);
        Rules {
            enabled: false,
            no_password: false,
            sanitize: None,
            passwords: Vec::new(),
            root,
            others: Vec::new(),
        }
    }

    /// A user that may do everything without a password.
    pub(super) fn everything() -> Rules {
        let mut rules = Rules { enabled: true, no_password: true, ..Rules::none(true) };
        rules.root.all_keys = true;
        rules.root.commands.set_all(true);
        rules
    }

    /// Gives the user this password alone; without one any is right.
    pub(super) fn set_password(&mut self, password: Option<&[u8]>) {
        self.passwords = password.map(hash).into_iter().collect();
        self.no_password = password.is_none();
    }

    /// Applies rules, all or none; the error names the rule.
    pub(super) fn change(
        &self,
        rules: &[Vec<u8>],
        channels: bool,
    ) -> Result<Rules, (Vec<u8>, Refusal)> {
        let mut changed = self.clone();
        for rule in rules {
            changed.set(rule, channels).map_err(|refusal| (rule.clone(), refusal))?;
        }
        Ok(changed)
    }

    fn set(&mut self, rule: &[u8], channels: bool) -> Result<(), Refusal> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"skip-sanitize-payload" => self.sanitize = Some(false),
            b"sanitize-payload" => self.sanitize = Some(true),
            b"nopass" => self.set_password(None),
            b"resetpass" => (self.no_password, self.passwords) = (false, Vec::new()),
            b"clearselectors" => self.others.clear(),
            b"reset" => *self = Rules { sanitize: Some(true), ..Rules::none(channels) },
            _ => match rule {
                [b'>', password @ ..] => self.add_password(hash(password))?,
                [b'#', hashed @ ..] => self.add_password(checked(hashed)?)?,
                [b'<', password @ ..] => self.remove_password(&hash(password))?,
                [b'!', hashed @ ..] => self.remove_password(&checked(hashed)?)?,
                [b'(', inner @ .., b')'] => {
                    if self.others.len() >= MAX {
                        return Err(Refusal::TooMany);
                    }
                    self.others.push(selector(inner)?);
                }
                rule => self.root.set(rule)?,
            },
        }
        Ok(())
    }

    fn add_password(&mut self, hashed: String) -> Result<(), Refusal> {
        self.no_password = false;
        if self.passwords.len() >= MAX {
            return Err(Refusal::TooMany);
        }
        if !self.passwords.contains(&hashed) {
            self.passwords.push(hashed);
        }
        Ok(())
    }

    fn remove_password(&mut self, hashed: &str) -> Result<(), Refusal> {
        let known = self.passwords.iter().position(|known| known == hashed);
        self.passwords.remove(known.ok_or(Refusal::NoSuchPassword)?);
        Ok(())
    }

    pub(super) fn selectors(&self) -> impl Iterator<Item = &Selector> + Clone {
        std::iter::once(&self.root).chain(&self.others)
    }

    /// Whether this password lets the user in.
    pub(super) fn lets_in(&self, password: &[u8]) -> bool {
        let hashed = hash(password);
        let right = |known: &String| bool::from(known.as_bytes().ct_eq(hashed.as_bytes()));
        // All are compared, so that the time tells nothing.
        let matching = self.passwords.iter().filter(|known| right(known)).count();
        self.enabled && (self.no_password || matching > 0)
    }

    /// Whether nothing is denied.
    pub(super) fn is_free(&self) -> bool {
        self.selectors().any(Selector::is_free)
    }

    /// Whether a command may run with these arguments; if not, the nearest miss.
    pub(in crate::resp) fn check(
        &self,
        slot: usize,
        facts: &Facts,
        args: &[&[u8]],
    ) -> Result<(), Denial> {
        let mut nearest = Denial::Command;
        for selector in self.selectors() {
            match selector.check(slot, facts, args) {
                Ok(()) => return Ok(()),
                Err(denial) => nearest = nearest.max(denial),
            }
        }
        Err(nearest)
    }

    /// The same, with every key open to reading: what SORT's patterns need.
    pub(in crate::resp) fn reads_all(&self, slot: usize, facts: &Facts, args: &[&[u8]]) -> bool {
        self.selectors().any(|s| s.check(slot, facts, args).is_ok() && s.reads_all())
    }

    /// Whether every channel that other rules name is named here too.
    pub(super) fn has_channels_of(&self, other: &Rules) -> bool {
        let named = |channel| self.selectors().any(|own| own.channels.contains(channel));
        self.selectors().any(|own| own.all_channels)
            || other
                .selectors()
                .all(|other| !other.all_channels && other.channels.iter().all(named))
    }

    /// Applies one rule of a document.
    pub(super) fn set_kept(&mut self, rule: &[u8]) -> Result<(), Refusal> {
        self.set(rule, false)
    }

    /// Whether a channel may be heard.
    pub(super) fn hears(&self, channel: &[u8], pattern: bool) -> bool {
        self.selectors().any(|selector| selector.has_channel(channel, pattern))
    }
}

/// The rules inside parentheses.
fn selector(inner: &[u8]) -> Result<Selector, Refusal> {
    let mut selector = Selector::default();
    selector.commands.set_all(false);
    for rule in inner.split(u8::is_ascii_whitespace).filter(|rule| !rule.is_empty()) {
        selector.set(rule)?;
    }
    Ok(selector)
}

/// Rules as they came, those of a selector that was given in several arguments put together; if a
/// parenthesis is not closed, what begins with it.
pub(super) fn merge<'a>(given: &[&'a [u8]]) -> Result<Vec<Vec<u8>>, &'a [u8]> {
    let mut merged: Vec<Vec<u8>> = Vec::new();
    let mut open: Option<(&[u8], Vec<u8>)> = None;
    for rule in given {
        match &mut open {
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(rule);
                if rule.ends_with(b")") {
                    merged.extend(open.take().map(|(_, selector)| selector));
                }
            }
            None if rule.starts_with(b"(") && !rule.ends_with(b")") => {
                open = Some((rule, rule.to_vec()));
            }
            None => merged.push(rule.to_vec()),
        }
    }
    match open {
        Some((begins, _)) => Err(begins),
        None => Ok(merged),
    }
}

/// A password as it is kept.
fn hash(password: &[u8]) -> String {
    let digest = Sha256::digest(password);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checked(hashed: &[u8]) -> Result<String, Refusal> {
    let hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = std::str::from_utf8(hashed).ok().filter(|text| text.len() == 64);
    text.filter(|text| text.as_bytes().iter().all(hex)).map(str::to_owned).ok_or(Refusal::Hash)
}
