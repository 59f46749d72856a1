//! Numbers of rows of one file, one bit each.

/// A set of row numbers. Takes an eighth of a byte for each row of the file up to the greatest member.
#[derive(Default)]
pub(crate) struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// Adds a row; false if it was there.
    pub fn insert(&mut self, row: usize) -> bool {
        let (word, bit) = (row / 64, 1 << (row % 64));
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let fresh = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.len += usize::from(fresh);
        fresh
    }

    pub fn contains(&self, row: usize) -> bool {
        self.words.get(row / 64).is_some_and(|word| word & (1 << (row % 64)) != 0)
    }

    /// The number of rows.
    pub fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_once() {
        let mut set = RowSet::default();
        for row in [0, 63, 64, 1000, 63] {
            set.insert(row);
        }
        assert!(!set.insert(1000));
        assert_eq!(set.len(), 4);
        let held: Vec<usize> = (0..2000).filter(|row| set.contains(*row)).collect();
        assert_eq!(held, [0, 63, 64, 1000]);
    }
}
