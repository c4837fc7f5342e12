//! What every journal that servers share must do, whatever it is kept in: [`conforms`] tries it, with a plain list as the model.
//!
//! An embedder with a `SharedJournal` of their own runs it over that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dogwatch_core::Timestamp;
use dogwatch_store::backend::{BackendError, Batch, Pair};
use dogwatch_store::cluster::{Campaign, FillError, Server, SharedJournal};
use dogwatch_store::journal::{AppendError, Commit, Digest, Head, Journal as _, Position, Reading, Rows};

/// A handle on a shared journal, as a server of its own has it.
pub type Handle = Arc<dyn SharedJournal>;

const LEASE: Duration = Duration::from_secs(60);
const AT: Timestamp = Timestamp::MIN;

/// Rows out of keys and values; `None` removes.
#[must_use]
pub fn rows(pairs: &[(&[u8], Option<&[u8]>)]) -> Rows {
    let batch: Batch = pairs.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
    Rows::of(&batch).expect("something stands in it")
}

/// What the journal should hold.
struct Model {
    commits: Vec<Commit>,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Model {
    fn head(&self) -> Head {
        self.commits.last().map_or(Head::default(), |commit| commit.head)
    }

    fn append(&mut self, journal: &Handle, term: u64, rows: &Rows) {
        let before = self.head();
        let head = journal.append(term, &before, AT, rows).unwrap();
        assert_eq!(head, before.after(term, AT, rows));
        for (key, value) in rows.owned() {
            match value {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
        self.commits.push(Commit { before, head, at: AT, rows: rows.clone() });
    }

    fn compare(&self, journal: &Handle) {
        assert_eq!(journal.last().unwrap(), self.head());
        let (head, found) = copied(journal);
        assert_eq!(head, self.head());
        assert!(found.into_iter().eq(self.rows.clone()), "the rows are those of all commits");
    }
}

fn copied(journal: &Handle) -> (Head, Vec<Pair>) {
    let mut found = Vec::new();
    let head = journal
        .copy(&mut |pair| {
            found.push(pair);
            Ok(())
        })
        .unwrap();
    assert!(found.is_sorted_by(|one, next| one.0 < next.0), "rows are in the order of their keys");
    (head, found)
}

fn won(journal: &Handle, server: &Server, seen: u64) -> (u64, Head) {
    match journal.campaign(server, seen, LEASE).unwrap() {
        Campaign::Won { term, head } => (term, head),
        Campaign::Lost => panic!("{server} did not win"),
    }
}

fn is_deposed(tried: &Result<Head, AppendError>) -> bool {
    matches!(tried, Err(AppendError::Deposed))
}

/// Tries all of it on two handles of one journal in which nothing is, and on a handle of another such journal; panics at the first difference.
pub fn conforms(one: &Handle, other: &Handle, elsewhere: &Handle) {
    assert_eq!(one.identity().unwrap(), other.identity().unwrap());
    let mut model = Model { commits: Vec::new(), rows: BTreeMap::new() };
    begins_empty(one);
    one_of_them_leads(one, other);
    commits_follow_each_other(one, other, &mut model);
    reading_on(other, &model);
    one_of_two_is_taken(one, other, &mut model);
    terms_end(one, other, &mut model);
    is_filled_once(one, elsewhere, &model);
    keys_agree(one, other);
}

fn begins_empty(journal: &Handle) {
    assert_eq!(journal.last().unwrap(), Head::default());
    assert!(matches!(journal.read(&Head::default(), 1 << 20).unwrap(), Reading::Commits(none) if none.is_empty()));
    assert_eq!(copied(journal), (Head::default(), Vec::new()));
    let leadership = journal.leadership().unwrap();
    assert_eq!((leadership.head, leadership.term, leadership.leader), (Head::default(), 0, None));
    assert_eq!(leadership.left, Duration::ZERO);
}

fn server(name: &str) -> Server {
    Server::new(name, format!("http://{name}.example"))
}

fn one_of_them_leads(one: &Handle, other: &Handle) {
    assert!(matches!(one.campaign(&server("a"), 7, LEASE).unwrap(), Campaign::Lost), "it has seen another term");
    assert_eq!(won(one, &server("a"), 0), (1, Head::default()));
    for seen in [0, 1] {
        assert!(matches!(other.campaign(&server("b"), seen, LEASE).unwrap(), Campaign::Lost), "somebody leads");
    }
    let leadership = other.leadership().unwrap();
    assert_eq!((leadership.term, leadership.leader), (1, Some(server("a"))));
    assert!(leadership.left > LEASE / 2 && leadership.left <= LEASE, "{:?}", leadership.left);
    assert_eq!(other.renew(7, LEASE).unwrap(), None);
    assert_eq!(one.renew(1, LEASE).unwrap(), Some(Head::default()));
}

fn commits_follow_each_other(one: &Handle, other: &Handle, model: &mut Model) {
    let long = vec![0xA5; 4_096];
    let every_byte: Vec<u8> = (0..=255).collect();
    let kinds = [
        rows(&[(b"a", Some(b"1")), (b"b", Some(b"")), (b"\0", Some(b"\0\0")), (b"\xFF\xFF", Some(&every_byte))]),
        rows(&[(b"a", Some(b"2")), (b"b", None), (b"never there", None), (&every_byte, Some(&long))]),
        rows(&[(b"a", None), (b"b", Some(b"again")), (b"\0\0", Some(b"x"))]),
    ];
    for rows in &kinds {
        model.append(one, 1, rows);
        model.compare(one);
        model.compare(other);
    }
    let foreign = Head { digest: Digest([9; 16]), ..model.head() };
    let earlier = model.commits[0].head;
    let refused = rows(&[(b"a", Some(b"refused"))]);
    for (term, after) in [(1, foreign), (1, earlier), (1, Head::default()), (0, model.head()), (2, model.head())] {
        assert!(is_deposed(&one.append(term, &after, AT, &refused)), "term {term}, after {after:?}");
        model.compare(one);
    }
}

fn reading_on(journal: &Handle, model: &Model) {
    for most in [1, 300, 1 << 20] {
        let mut from = Head::default();
        for place in 0.. {
            let Reading::Commits(part) = journal.read(&from, most).unwrap() else { panic!("it was there before") };
            let Some(last) = part.last() else { break };
            assert!(place < model.commits.len());
            from = last.head;
            let first = part[0].head.position.number - 1;
            let first = usize::try_from(first).unwrap();
            assert_eq!(part, model.commits[first..first + part.len()]);
        }
        assert_eq!(from, model.head());
    }
    let last = model.head();
    let ahead = Head { position: Position { number: last.position.number + 5, ..last.position }, ..last };
    let foreign = Head { digest: Digest([9; 16]), ..last };
    let foreign_earlier = Head { digest: Digest([9; 16]), ..model.commits[0].head };
    for from in [ahead, foreign, foreign_earlier] {
        let read = journal.read(&from, 1 << 20).unwrap();
        assert!(matches!(read, Reading::Elsewhere), "from {from:?}: {read:?}");
    }
    for commit in &model.commits {
        assert_eq!(journal.head_at(commit.head.position).unwrap(), Some(commit.head));
    }
    assert_eq!(journal.head_at(ahead.position).unwrap(), None);
    assert_eq!(journal.kept_for(Position::default(), last.position).unwrap(), Some(0));
}

/// Two who append after the same commit: one of them is taken, each time.
fn one_of_two_is_taken(one: &Handle, other: &Handle, model: &mut Model) {
    for round in 0..50_u8 {
        let before = model.head();
        let candidates = [rows(&[(b"race", Some(&[round, 1]))]), rows(&[(b"race", Some(&[round, 2]))])];
        let both = [one, other];
        let tried = thread::scope(|scope| {
            let racing: Vec<_> = both
                .iter()
                .zip(&candidates)
                .map(|(journal, rows)| scope.spawn(move || journal.append(1, &before, AT, rows)))
                .collect();
            racing.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        let taken: Vec<_> = tried.iter().zip(&candidates).filter(|(tried, _)| tried.is_ok()).collect();
        assert!(taken.len() == 1 && tried.iter().any(is_deposed), "{tried:?}");
        let (head, rows) = (*taken[0].0.as_ref().unwrap(), taken[0].1.clone());
        model.rows.insert(b"race".to_vec(), rows.owned().next().unwrap().1.unwrap());
        model.commits.push(Commit { before, head, at: AT, rows });
    }
    model.compare(one);
    reading_on(other, model);
}

fn terms_end(one: &Handle, other: &Handle, model: &mut Model) {
    let rows = rows(&[(b"term", Some(b"x"))]);
    // Who resigns makes room at once.
    other.resign(7).unwrap();
    assert_eq!(one.leadership().unwrap().leader, Some(server("a")), "only the present term can be resigned from");
    one.resign(1).unwrap();
    assert_eq!(one.leadership().unwrap().leader, None);
    assert_eq!(won(other, &server("b"), 1), (2, model.head()));
    assert!(is_deposed(&one.append(1, &model.head(), AT, &rows)));
    assert_eq!(one.renew(1, LEASE).unwrap(), None, "who renews never takes");
    one.resign(1).unwrap();
    assert_eq!(one.leadership().unwrap().leader, Some(server("b")));
    model.append(other, 2, &rows);
    // Who is deposed writes nothing more, and the term is over.
    one.depose().unwrap();
    assert!(is_deposed(&other.append(2, &model.head(), AT, &rows)));
    assert_eq!(other.renew(2, LEASE).unwrap(), None);
    let leadership = one.leadership().unwrap();
    assert_eq!((leadership.leader, leadership.left), (None, Duration::ZERO));
    let seen = leadership.term;
    assert!(seen > 2);
    // A lease that is not renewed ends by itself; a commit renews it.
    let brief = Duration::from_millis(300);
    let Campaign::Won { term, .. } = one.campaign(&server("a"), seen, brief).unwrap() else { panic!("nobody led") };
    model.append(one, term, &rows);
    let began = Instant::now();
    while matches!(other.campaign(&server("b"), term, LEASE).unwrap(), Campaign::Lost) {
        assert!(began.elapsed() < Duration::from_secs(30), "the lease ends");
        thread::sleep(Duration::from_millis(10));
    }
    assert!(is_deposed(&one.append(term, &model.head(), AT, &rows)));
    model.append(other, term + 1, &rows);
    model.compare(one);
}

fn is_filled_once(journal: &Handle, elsewhere: &Handle, model: &Model) {
    assert_ne!(journal.identity().unwrap(), elsewhere.identity().unwrap());
    let pairs = || model.rows.clone().into_iter().map(Ok);
    assert!(matches!(journal.fill(&model.head(), &mut pairs()), Err(FillError::NotEmpty)));
    model.compare(journal);
    let torn = || Err(BackendError::new("reading", "it is torn"));
    let mut fails = pairs().chain([torn()]);
    assert!(matches!(elsewhere.fill(&model.head(), &mut fails), Err(FillError::Storage(_))));
    begins_empty(elsewhere);
    elsewhere.fill(&model.head(), &mut pairs()).unwrap();
    model.compare(elsewhere);
    assert!(matches!(elsewhere.read(&model.head(), 100).unwrap(), Reading::Commits(none) if none.is_empty()));
    assert!(matches!(elsewhere.read(&model.commits[0].head, 100).unwrap(), Reading::Forgotten));
    assert_eq!(elsewhere.kept_for(Position::default(), model.head().position).unwrap(), None);
    let seen = elsewhere.leadership().unwrap().term;
    let (term, head) = won(elsewhere, &server("c"), seen);
    assert!(term > model.head().position.term && head == model.head());
    elsewhere.append(term, &head, AT, &rows(&[(b"on", Some(b"it goes"))])).unwrap();
    // Who does not want more rows is not given more, and the journal goes on.
    let stopped = journal.copy(&mut |_| torn().map(drop::<Pair>));
    assert!(stopped.is_err());
    model.compare(journal);
}

fn keys_agree(one: &Handle, other: &Handle) {
    assert!(one.agree_on_key(&[1; 16]).unwrap());
    assert!(other.agree_on_key(&[1; 16]).unwrap());
    assert!(!other.agree_on_key(&[2; 16]).unwrap());
    assert!(one.agree_on_key(&[1; 16]).unwrap());
}
