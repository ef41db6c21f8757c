package segment

import (
	"slices"
	"sort"

	"github.com/reprise-mq/reprise/broker/api"
)

const (
	// markBytes is the distance in a file between two places that are remembered, until
	// there are maxMarks of them: then every other one goes, and the distance doubles.
	markBytes = 4 << 10
	maxMarks  = 4096
	// maxMarked bounds how many segments' places are remembered, besides the active
	// one's.
	maxMarked = 8
)

// place is the beginning of a frame in a file.
type place struct {
	position int64
	// index is the entry's, offset the frame's base: what the frame must say.
	index  api.Index
	offset api.Offset
}

// segment is one file.
type segment struct {
	name string
	// index and base are the state frame's.
	index api.Index
	base  api.Offset
	// before is the index of the segment that stands or stood before this one, 0 if the
	// log began with it.
	before api.Index
	// state is the length of the state frame, length that of the whole file, and
	// synced how much of it is certain.
	state, length, synced int64
	// marks are places about so many bytes apart, from the first frame to edge. They
	// are found by reading, so those of an old segment grow with its use.
	marks []place
	apart int64
	// edge is where the frames that have been seen end.
	edge place
}

// newSegment has a state frame, of so many bytes, and no entries.
func newSegment(folder string, state *Frame, bytes int64) *segment {
	g := &segment{
		name: fileName(folder, state.Index), index: state.Index, base: state.Base, before: before(state),
		state: bytes, length: bytes,
	}
	g.unmark()
	return g
}

// unmark forgets all places but the first.
func (g *segment) unmark() {
	g.marks, g.apart = nil, markBytes
	g.edge = place{g.state, g.index + 1, g.base}
}

// note remembers a frame that was read or written at a place, if it is the first
// not yet seen.
func (g *segment) note(at place, fr *Frame) {
	if at.position != g.edge.position {
		return
	}
	if n := len(g.marks); n == 0 || at.position-g.marks[n-1].position >= g.apart {
		g.remember(at)
	}
	g.edge = at.after(fr)
}

func (g *segment) remember(at place) {
	if len(g.marks) == maxMarks {
		for i := range maxMarks / 2 {
			g.marks[i] = g.marks[2*i]
		}
		g.marks = g.marks[:maxMarks/2]
		g.apart *= 2
	}
	g.marks = append(g.marks, at)
}

// after is the place behind a frame.
func (p place) after(fr *Frame) place {
	return place{p.position + int64(fr.bytes()), p.index + 1, fr.next()}
}

// seek gives the last place known that is not beyond the first one sought.
func (g *segment) seek(beyond func(place) bool) place {
	if !beyond(g.edge) {
		return g.edge
	}
	n := sort.Search(len(g.marks), func(i int) bool { return beyond(g.marks[i]) })
	if n == 0 {
		return place{g.state, g.index + 1, g.base}
	}
	return g.marks[n-1]
}

// touch keeps the marks of the old segments used last, and drops those of others.
func (s *Store) touch(g *segment) {
	if g == s.active() {
		return
	}
	if i := slices.Index(s.marked, g); i >= 0 {
		s.marked = slices.Delete(s.marked, i, i+1)
	}
	s.marked = append(s.marked, g)
	if len(s.marked) > maxMarked {
		s.marked[0].unmark()
		s.marked = slices.Delete(s.marked, 0, 1)
	}
}

// Rest lets go of what is remembered for reads, if nothing was read or appended since it was
// called before: the newest frames, and the places in old segments.
func (s *Store) Rest() {
	if !s.used {
		s.tail = tail{}
		for _, g := range s.marked {
			g.unmark()
		}
		s.marked = nil
	}
	s.used = false
}
