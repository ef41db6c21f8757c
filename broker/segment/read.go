package segment

import (
	"fmt"
	"sort"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/reprise-mq/reprise/broker/api"
)

// Entries reads entries from lo on, which must lie above First and not above Last:
// at least one, and no more than maxBytes of frames unless the first is longer. An
// answer may end where a segment does. done may run before Entries returns. It
// gets ErrGone if retention dropped lo.
func (s *Store) Entries(lo api.Index, maxBytes int, done func([]*raftpb.Entry, error)) {
	if lo > s.last {
		panic(fmt.Sprintf("segment: entry %d asked for, the last is %d", lo, s.last))
	}
	if lo <= s.First() {
		done(nil, ErrGone)
		return
	}
	r := &reading{
		s: s, max: maxBytes,
		wanted: func(fr *Frame) bool { return fr.Index >= lo },
		done:   func(frames []Frame, err error) { done(entries(frames), err) },
	}
	s.used = true
	if cached := s.tail.fromIndex(lo); cached != nil {
		r.take(cached)
		r.done(r.got, nil)
		return
	}
	n := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].index >= lo })
	r.from(s.segments[n-1], func(p place) bool { return p.index > lo })
}

// Read reads the frames that hold records, beginning with the one that holds an
// offset from Start to below Next: at least one, and no more than maxBytes of
// frames unless the first is longer. An answer may end where a segment does. done
// may run before Read returns. It gets ErrGone if retention dropped the offset.
func (s *Store) Read(from api.Offset, maxBytes int, done func([]Frame, error)) {
	if from >= s.next {
		panic(fmt.Sprintf("segment: offset %d asked for, the next is %d", from, s.next))
	}
	if from < s.Start() {
		done(nil, ErrGone)
		return
	}
	r := &reading{
		s: s, max: maxBytes, done: done,
		wanted: func(fr *Frame) bool { return fr.Kind == KindRecords && fr.next() > from },
	}
	s.used = true
	if cached := s.tail.fromOffset(from); cached != nil {
		r.take(cached)
		r.done(r.got, nil)
		return
	}
	n := sort.Search(len(s.segments), func(i int) bool { return s.segments[i].base > from })
	r.from(s.segments[n-1], func(p place) bool { return p.offset > from })
}

// Recent reports whether Read finds an offset in memory.
func (s *Store) Recent(from api.Offset) bool { return s.tail.fromOffset(from) != nil }

// reading is one call of Entries or Read under way.
type reading struct {
	s *Store
	// segment is the one being read.
	segment *segment
	wanted  func(*Frame) bool
	max     int
	// got is the answer so far, of size bytes.
	got  []Frame
	size int
	done func([]Frame, error)
}

// take adds the wanted ones of the next frames, and says whether there is room
// for more.
func (r *reading) take(frames []Frame) bool {
	for i := range frames {
		fr := &frames[i]
		if !r.wanted(fr) {
			continue
		}
		if len(r.got) > 0 && r.size+fr.bytes() > r.max {
			return false
		}
		r.got = append(r.got, *fr)
		r.size += fr.bytes()
	}
	return len(r.got) == 0 || r.size < r.max
}

// from reads a segment, beginning at the last known place that is not beyond the
// first frame wanted.
func (r *reading) from(g *segment, beyond func(place) bool) {
	r.segment = g
	r.s.touch(g)
	w := &walk{
		f: r.s.f, group: r.s.group, name: g.name, at: g.seek(beyond), end: g.length,
		load: min(max(r.max, minLoadBytes)+int(g.apart), maxLoadBytes),
		done: r.ended,
	}
	w.visit = func(at place, _ []byte, frames []Frame) bool {
		for i := range frames {
			g.note(at, &frames[i])
			at = at.after(&frames[i])
		}
		return r.take(frames)
	}
	w.next(0)
}

// ended takes the end of a walk. A segment that retention dropped meanwhile may
// fail in any way.
func (r *reading) ended(error) {
	if len(r.got) > 0 {
		r.done(r.got, nil) // checked, frame by frame; what follows fails the next read
		return
	}
	if _, held := r.s.find(r.segment.index); !held {
		r.done(nil, ErrGone)
		return
	}
	r.s.damaged(r.segment)
	r.done(nil, fmt.Errorf("%w: read of %s", ErrDamaged, r.segment.name))
}

// slot is an entry with what it points to: raft's messages hold pointers to
// numbers, and an allocation for each would cost more than the read.
type slot struct {
	entry       raftpb.Entry
	term, index uint64
	kind        raftpb.EntryType
}

func entries(frames []Frame) []*raftpb.Entry {
	es := make([]*raftpb.Entry, len(frames))
	slots := make([]slot, len(frames))
	for i, fr := range frames {
		s := &slots[i]
		s.term, s.index, s.kind = uint64(fr.Term), uint64(fr.Index), fr.Type
		s.entry.Term, s.entry.Index, s.entry.Type, s.entry.Data = &s.term, &s.index, &s.kind, fr.Data
		es[i] = &s.entry
	}
	return es
}
