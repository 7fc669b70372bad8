//! Rules as ACL LIST and GETUSER show them, and as they are kept: said so that applying them to a new
//! user makes the same user.

use super::rules::Rules;
use super::selector::{CATEGORIES, Commands, IN, KeyPattern, Selector};
use crate::resp::facts;

impl Rules {
    /// The words of GETUSER's flags.
    pub(in crate::resp) fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        flags.extend(self.no_password.then_some("nopass"));
        flags.extend(self.sanitize.map(|sanitize| match sanitize {
            true => "sanitize-payload",
            false => "skip-sanitize-payload",
        }));
        flags
    }

    pub(in crate::resp) fn passwords(&self) -> &[String] {
        &self.passwords
    }

    pub(in crate::resp) fn root(&self) -> &Selector {
        &self.root
    }

    pub(in crate::resp) fn others(&self) -> &[Selector] {
        &self.others
    }

    /// As ACL LIST shows them.
    pub(in crate::resp) fn line(&self) -> Vec<u8> {
        let mut words = self.head();
        words.extend(self.root.words());
        let others = self
            .others
            .iter()
            .map(|selector| [b"(", join(&selector.words(), b' ').as_slice(), b")"].concat());
        words.extend(others.collect::<Vec<_>>());
        join(&words, b' ')
    }

    /// As they are kept: a word a line, a selector between lines of parentheses, so that no pattern can
    /// be taken for the end of one.
    pub(super) fn document(&self) -> Vec<u8> {
        let mut words = self.head();
        words.extend(self.root.words());
        for selector in &self.others {
            words.push(b"(".to_vec());
            words.extend(selector.words());
            words.push(b")".to_vec());
        }
        join(&words, b'\n')
    }

    /// Of a document; what a later release knows and this one does not is left out, which allows less.
    pub(super) fn of_document(document: &[u8]) -> Rules {
        let mut rules = Rules::none(false);
        let mut selector: Option<Selector> = None;
        for word in document.split(|byte| *byte == b'\n') {
            match word {
                b"(" => {
                    let mut begun = Selector::default();
                    begun.commands.set_all(false);
                    selector = Some(begun);
                }
                b")" => rules.others.extend(selector.take()),
                word => {
                    let known = match &mut selector {
                        Some(selector) => selector.set(word),
                        None => rules.set_kept(word),
                    };
                    if let Err(why) = known {
                        let word = String::from_utf8_lossy(word);
                        tracing::warn!(%word, %why, "a rule of a kept user is left out");
                    }
                }
            }
        }
        rules
    }

    /// Flags and passwords.
    fn head(&self) -> Vec<Vec<u8>> {
        let flags = self.flags().into_iter().map(|flag| flag.as_bytes().to_vec());
        let hashed = self.passwords.iter().map(|hash| format!("#{hash}").into_bytes());
        flags.chain(hashed).collect()
    }
}

impl Selector {
    /// All of its rules.
    fn words(&self) -> Vec<Vec<u8>> {
        let keys = self.key_words();
        let channels = match (self.all_channels, self.channel_words()) {
            (true, all) => all,
            (false, some) => [vec![b"resetchannels".to_vec()], some].concat(),
        };
        [keys, channels, self.command_words()].concat()
    }

    /// Its patterns of keys.
    pub(in crate::resp) fn key_words(&self) -> Vec<Vec<u8>> {
        if self.all_keys {
            return vec![b"~*".to_vec()];
        }
        let word = |key: &KeyPattern| {
            let prefix: &[u8] = match (key.read, key.write) {
                (true, false) => b"%R~",
                (false, true) => b"%W~",
                _ => b"~",
            };
            [prefix, &key.pattern].concat()
        };
        self.keys.iter().map(word).collect()
    }

    /// Its patterns of channels.
    pub(in crate::resp) fn channel_words(&self) -> Vec<Vec<u8>> {
        if self.all_channels {
            return vec![b"&*".to_vec()];
        }
        self.channels.iter().map(|channel| [b"&", &**channel].concat()).collect()
    }

    /// Its rules about commands: `+@all` or `-@all`, categories that come near, then what still differs.
    pub(in crate::resp) fn command_words(&self) -> Vec<Vec<u8>> {
        let adds = !self.commands.future;
        let (sign, undo) = if adds { ("+", false) } else { ("-", true) };
        let mut said = Commands::default();
        said.set_all(!adds);
        let mut words = vec![if adds { "-@all" } else { "+@all" }.to_owned()];
        let mut left = self.commands.clone();
        let mut open: Vec<usize> = (0..CATEGORIES.len()).collect();
        while let Some(best) = nearest(&left, &open, adds) {
            open.retain(|category| *category != best);
            said.set_category(best, adds);
            left.set_category(best, undo);
            words.extend(CATEGORIES.get(best).map(|name| format!("{sign}@{name}")));
        }
        self.single_words(&mut said, &mut words);
        words.into_iter().map(String::into_bytes).collect()
    }

    /// Commands of which the words so far say what is not so; sub-commands behind their command.
    fn single_words(&self, said: &mut Commands, words: &mut Vec<String>) {
        for command in 0..facts::COMMANDS.len() {
            for slot in std::iter::once(command).chain(facts::below(command)) {
                let (has, name) = (self.commands.has(slot), facts::name_of(slot).unwrap_or(""));
                if has != said.has(slot) {
                    words.push(format!("{}{name}", if has { "+" } else { "-" }));
                    said.set(slot, has);
                }
                for first in self.commands.first.get(&slot).into_iter().flatten() {
                    if !has {
                        words.push(format!("+{name}|{}", String::from_utf8_lossy(first)));
                    }
                }
            }
        }
    }
}

/// The category that has more commands that are to be said than others, and of these the fewest others.
fn nearest(left: &Commands, open: &[usize], adds: bool) -> Option<usize> {
    let mut best: Option<(usize, usize, usize)> = None;
    for category in open {
        let own = IN.iter().enumerate().filter(|(_, is_in)| *is_in >> category & 1 == 1);
        let (mut same, mut different) = (0, 0);
        for (slot, _) in own {
            *(if left.has(slot) == adds { &mut same } else { &mut different }) += 1;
        }
        let nearer = best
            .is_none_or(|(_, least, most)| different < least || different == least && same > most);
        if same > different && nearer {
            best = Some((*category, different, same));
        }
    }
    best.map(|(category, ..)| category)
}

fn join(words: &[Vec<u8>], between: u8) -> Vec<u8> {
    words.join(&between)
}
