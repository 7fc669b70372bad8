//! A vector in pages of equal length: it grows without a copy and never holds room for as much again.

/// Items, `PAGE` in one allocation.
#[derive(Debug)]
pub(crate) struct Paged<T, const PAGE: usize> {
    pages: Vec<Vec<T>>,
}

impl<T, const PAGE: usize> Default for Paged<T, PAGE> {
    fn default() -> Self {
        Paged { pages: Vec::new() }
    }
}

impl<T, const PAGE: usize> Paged<T, PAGE> {
    /// Items there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self.pages.split_last() {
            Some((last, full)) => full.len() * PAGE + last.len(),
            None => 0,
        }
    }

    #[inline]
    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        self.pages.get(at / PAGE)?.get(at % PAGE)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, at: usize) -> Option<&mut T> {
        self.pages.get_mut(at / PAGE)?.get_mut(at % PAGE)
    }

    pub(crate) fn push(&mut self, item: T) {
        if let Some(page) = self.pages.last_mut().filter(|page| page.len() < PAGE) {
            return page.push(item);
        }
        let mut page = Vec::with_capacity(PAGE);
        page.push(item);
        self.pages.push(page);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.pages.iter().flatten()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.pages.iter_mut().flatten()
    }
}
