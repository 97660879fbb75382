//! Looks after answers that take their time, all of a worker at once: one timer, not one for each stream.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// How often an answer that takes its time looks whether its key still lives, and a stream whether its upstream
/// still speaks.
pub const LOOK: Duration = Duration::from_millis(400);

/// What is looked after until it is dropped.
pub trait Watched {
    /// Does what is to be done by now; tells whether to look again.
    fn look(&self) -> bool;
}

/// One worker's rounds.
#[derive(Default)]
pub struct Rounds {
    watched: RefCell<Vec<Weak<dyn Watched>>>,
    /// Whether anybody goes: nobody does while there is nothing to look after.
    going: Cell<bool>,
}

impl Rounds {
    /// Looks after something from now on, for the first time within [`LOOK`].
    pub fn watch(self: &Rc<Self>, what: Weak<dyn Watched>) {
        self.watched.borrow_mut().push(what);
        if !self.going.replace(true) {
            actix_web::rt::spawn(Rc::clone(self).go());
        }
    }

    async fn go(self: Rc<Self>) {
        while !self.watched.borrow().is_empty() {
            tokio::time::sleep(LOOK).await;
            self.round();
        }
        self.going.set(false);
    }

    fn round(&self) {
        // Whoever is looked after may have something new looked after meanwhile.
        let mut watched = self.watched.take();
        watched.retain(|what| what.upgrade().is_some_and(|what| look(&*what)));
        let mut new = self.watched.borrow_mut();
        watched.append(&mut new);
        *new = watched;
    }
}

/// A fault in one answer ends no other one's rounds.
fn look(what: &dyn Watched) -> bool {
    catch_unwind(AssertUnwindSafe(|| what.look())).unwrap_or_else(|_| {
        tracing::error!(
            "a fault in mcpd keeps an answer from being looked after: it may not end with its key"
        );
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts looks, and says so often to look again.
    struct Counting {
        looks: Cell<u32>,
        most: u32,
        /// What is to be looked after from its first look on.
        then: RefCell<Option<(Rc<Rounds>, Rc<Counting>)>>,
    }

    impl Watched for Counting {
        fn look(&self) -> bool {
            self.looks.set(self.looks.get() + 1);
            assert_ne!(self.most, 0, "a fault");
            if let Some((rounds, next)) = &*self.then.borrow() {
                let next = Rc::downgrade(next);
                rounds.watch(next);
            }
            self.looks.get() < self.most
        }
    }

    fn counting(most: u32) -> Rc<Counting> {
        Rc::new(Counting { looks: Cell::new(0), most, then: RefCell::default() })
    }

    #[tokio::test]
    async fn all_are_looked_after_until_they_have_enough_or_are_gone() {
        let looked = async {
            let rounds = Rc::<Rounds>::default();
            let watch = |what: &Rc<Counting>| {
                let what = Rc::downgrade(what);
                rounds.watch(what);
            };
            let [faulty, twice, often, gone] = [0, 2, 100, 100].map(counting);
            [&faulty, &twice, &often, &gone].into_iter().for_each(watch);
            drop(gone);
            (0..5).for_each(|_| rounds.round());
            assert_eq!([&faulty, &twice, &often].map(|what| what.looks.get()), [1, 2, 5]);
            assert_eq!(rounds.watched.borrow().len(), 1);
            drop(often);
            tokio::time::sleep(LOOK * 2).await;
            assert!(!rounds.going.get(), "nobody goes for nothing");
            let [first, second] = [1, 1].map(counting);
            *first.then.borrow_mut() = Some((Rc::clone(&rounds), Rc::clone(&second)));
            watch(&first);
            tokio::time::sleep(LOOK * 3).await;
            assert_eq!([&first, &second].map(|what| what.looks.get()), [1, 1]);
            assert!(!rounds.going.get());
        };
        tokio::task::LocalSet::new().run_until(looked).await;
    }
}
