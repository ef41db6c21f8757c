package segment

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/files"
)

// Errors of a store. Any other is the disk's, wrapped.
var (
	// ErrDamaged: bytes that were certain are missing or changed. Nothing was
	// altered; have the files restored from a peer (Mend).
	ErrDamaged = errors.New("segment is damaged")
	// ErrGone: what was asked for is not in the log: retention dropped it, maybe
	// while it was being read.
	ErrGone = errors.New("no longer in the log")
)

// stateFactor is how many times its state frame a segment outgrows before it is
// full, so that states never take more than a fifth of the log.
const stateFactor = 4

// Position is how far a log is synced.
type Position struct {
	// Index is the last entry up to there.
	Index api.Index
	// Segment is the file that holds the position, Length what it has up to there,
	// in bytes. Older files are synced whole.
	Segment api.Index
	Length  int64
}

func (p Position) newer(than Position) bool {
	return p.Segment > than.Segment || p.Segment == than.Segment && p.Length > than.Length
}

// Log says where a log stands, and whose it is.
type Log struct {
	Files  *files.Files
	Folder string // ends with a slash
	Group  api.GroupID
}

// Store is the log of one group. Its methods are called by one thread at a time;
// continuations run when the disk's answers are passed to files.Files.
type Store struct {
	f      *files.Files
	folder string
	group  api.GroupID
	// segments ascend and are never empty; the last is the active one. Each begins
	// at the index where the one before ends.
	segments []*segment
	// terms ascend strictly in both fields; the first is that of First.
	terms []termStart
	// last is the last entry appended, next the offset after it.
	last api.Index
	next api.Offset
	tail tail
	// marked are those that may have marks, but for the active one: at most
	// maxMarked, the last used last.
	marked []*segment
	// used: something was read or appended since the last Rest.
	used bool
	// names counts the files made and removed; syncedNames of those are certain.
	names, syncedNames uint64
	// certain is the newest position that a checkpoint vouched for.
	certain Position
	// unlink holds the files that Drop has still to remove, oldest first.
	unlink []string
	// failed is the first error of a sync. After it nothing is known of the files,
	// so no later checkpoint succeeds.
	failed error
	// found hears of damage; nil if nobody does.
	found func(api.Index)
	scrub scrub
}

// Create starts a log that nobody wrote before, in a folder with no segments: one
// segment that begins with a state. It is certain after a Checkpoint.
func Create(log Log, first State) *Store {
	s := &Store{f: log.Files, folder: log.Folder, group: log.Group, last: first.Index, next: first.Next}
	s.terms = []termStart{{first.Index, first.Term}}
	s.begin(encodeState(&first, 0, termStart{}, nil))
	return s
}

// Append writes the next entry. Its data is copied. An error of the disk appears
// at the next Checkpoint.
func (s *Store) Append(fr Frame) {
	if fr.Kind == KindState || fr.Index != s.last+1 || fr.Base != s.next || fr.Term < s.lastTerm() {
		panic(fmt.Sprintf("segment: frame of kind %d, index %d, term %d, base %d does not follow index %d, term %d, next offset %d",
			fr.Kind, fr.Index, fr.Term, fr.Base, s.last, s.lastTerm(), s.next))
	}
	b := s.tail.encode(s.group, &fr)
	s.f.Append(s.active().name, b)
	s.extend(fr)
}

// Full says whether the active segment is to be rolled before the next entry: its
// entries have reached segmentBytes, and a multiple of its state. The answer is
// the same on every replica; so ask after every Append, and after Open.
func (s *Store) Full(segmentBytes uint64) bool {
	a := s.active()
	return uint64(a.length-a.state) >= max(segmentBytes, stateFactor*uint64(a.state))
}

// Roll starts the next segment with the state as of the last entry.
func (s *Store) Roll(st State) {
	if st.Index != s.last || st.Term != s.lastTerm() || st.Next != s.next {
		panic(fmt.Sprintf("segment: state of index %d, term %d, next %d where the log has index %d, term %d, next %d",
			st.Index, st.Term, st.Next, s.last, s.lastTerm(), s.next))
	}
	before := s.active().index
	if s.last == before {
		panic(fmt.Sprintf("segment: rolled at index %d, with no entry in the segment", before))
	}
	s.begin(encodeState(&st, int32(s.last-before), s.startBelow(before), s.startsAbove(before)))
}

// First is the index of the oldest state frame: the entries above it can be read.
func (s *Store) First() api.Index { return s.segments[0].index }

// Last is the last entry.
func (s *Store) Last() api.Index { return s.last }

// Start is the first offset in the files; retention may count from a higher one.
func (s *Store) Start() api.Offset { return s.segments[0].base }

// Next is the offset that the next record takes.
func (s *Store) Next() api.Offset { return s.next }

// Term gives the term of an entry from First to Last.
func (s *Store) Term(i api.Index) (api.Term, bool) {
	if i < s.First() || i > s.last {
		return 0, false
	}
	return s.startBelow(i).term, true
}

func (s *Store) log() Log { return Log{s.f, s.folder, s.group} }

func (s *Store) active() *segment { return s.segments[len(s.segments)-1] }

func (s *Store) lastTerm() api.Term { return s.terms[len(s.terms)-1].term }

// begin creates the file of a segment with its state frame.
func (s *Store) begin(fr Frame) {
	b := appendFrame(s.group, make([]byte, 0, fr.bytes()), &fr)
	g := newSegment(s.folder, &fr, int64(len(b)))
	s.f.Create(g.name, 0)
	s.f.Append(g.name, b)
	s.names++
	s.push(g)
}

// push makes a segment the active one.
func (s *Store) push(g *segment) {
	s.segments = append(s.segments, g)
	if n := len(s.segments); n > 1 {
		s.touch(s.segments[n-2])
	}
}

// extend takes note of an entry at the end of the active segment.
func (s *Store) extend(fr Frame) {
	a := s.active()
	a.note(place{a.length, fr.Index, fr.Base}, &fr)
	a.length += int64(fr.bytes())
	if fr.Term > s.lastTerm() {
		s.terms = append(s.terms, termStart{fr.Index, fr.Term})
	}
	s.last, s.next = fr.Index, fr.next()
	s.tail.add(fr)
	s.used = true
}

// startBelow gives the term start at or below an index of the log. For the index
// of a state frame it is that frame's own, as the frame knows no older one.
func (s *Store) startBelow(i api.Index) termStart {
	n := sort.Search(len(s.terms), func(k int) bool { return s.terms[k].index > i })
	return termStart{i, s.terms[n-1].term}
}

// startsAbove gives the terms that began above an index.
func (s *Store) startsAbove(i api.Index) []termStart {
	n := sort.Search(len(s.terms), func(k int) bool { return s.terms[k].index > i })
	return s.terms[n:]
}

// find gives the segment that begins at an index, and its place in the list.
func (s *Store) find(index api.Index) (int, bool) {
	return sort.Find(len(s.segments), func(i int) int {
		return compare(index, s.segments[i].index)
	})
}

func compare(a, b api.Index) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

const suffix = ".seg"

// fileName names the file of a segment.
func fileName(folder string, index api.Index) string {
	return fmt.Sprintf("%s%020d%s", folder, index, suffix)
}

// parseName is the reverse of fileName; false for a file that is no segment.
func parseName(folder, name string) (api.Index, bool) {
	digits, ok := strings.CutSuffix(strings.TrimPrefix(name, folder), suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || fileName(folder, api.Index(n)) != name {
		return 0, false
	}
	return api.Index(n), true
}
