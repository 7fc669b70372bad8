//! Finding a command by its name, for every request.

/// Places of names; three of four stay empty, so that what is looked for mostly stands where it is looked for.
const SLOTS: usize = 1024;
/// The longest name.
const LONGEST: usize = 24;

/// Which names there are, in lower case, each with its number. A hash table, since a search among two hundred
/// names compares eight of them.
#[derive(Debug)]
pub struct Names {
    /// One more than a name's number; 0 where there is none.
    slots: Box<[u16; SLOTS]>,
    names: Vec<&'static str>,
}

impl Names {
    /// At most 500 names, none of more than 24 bytes.
    pub fn new(names: impl Iterator<Item = &'static str>) -> Names {
        let names: Vec<&'static str> = names.collect();
        let mut slots = Box::new([0; SLOTS]);
        for (number, name) in (1..).zip(&names) {
            let Some(key) = Key::of(name.as_bytes()) else { continue };
            if let Some(free) = key.places().find(|place| slots[*place] == 0) {
                slots[free] = number;
            }
        }
        Names { slots, names }
    }

    /// The number of a name in any case.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        let key = Key::of(name)?;
        for place in key.places() {
            let number = usize::from(self.slots[place]).checked_sub(1)?;
            let known = self.names.get(number)?;
            if key.lower.get(..name.len()) == Some(known.as_bytes()) {
                return Some(number);
            }
        }
        None
    }
}

/// A name in lower case, zeros behind it.
struct Key {
    lower: [u8; LONGEST],
}

impl Key {
    fn of(name: &[u8]) -> Option<Key> {
        let mut lower = [0; LONGEST];
        lower.get_mut(..name.len())?.copy_from_slice(name);
        lower.make_ascii_lowercase();
        Some(Key { lower })
    }

    /// Where to look, in this order.
    fn places(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.lower.as_chunks::<8>().0.iter();
        let hash = words.fold(0_u64, |hash, word| {
            (hash ^ u64::from_le_bytes(*word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
        });
        let first = (hash >> 40) as usize;
        (0..SLOTS).map(move |step| (first + step) % SLOTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other() {
        let all = || crate::keyspace::command::COMMANDS.iter().map(|command| command.name);
        let names = Names::new(all());
        for (number, name) in all().enumerate() {
            assert_eq!(names.find(name.as_bytes()), Some(number));
            assert_eq!(names.find(name.to_uppercase().as_bytes()), Some(number));
            assert_eq!(names.find(format!("{name}?").as_bytes()), None);
        }
        for none in ["", "ge", "get\0", "gets", &"x".repeat(LONGEST), &"x".repeat(1000)] {
            assert_eq!(names.find(none.as_bytes()), None, "{none}");
        }
    }
}
