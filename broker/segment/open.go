package segment

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
)

// Restorer takes what a log amounts to while it is read. An error ends the reading.
type Restorer interface {
	// Begin takes a state; what came before means nothing any more.
	Begin(State) error
	// Take takes the entry that follows.
	Take(Frame) error
}

// Tail is the last state and the entries after it, for whoever restores from them later.
type Tail struct {
	State  State
	Frames []Frame
}

// Begin is Restorer's.
func (t *Tail) Begin(st State) error {
	t.State, t.Frames = st, nil
	return nil
}

// Take is Restorer's.
func (t *Tail) Take(fr Frame) error {
	t.Frames = append(t.Frames, fr)
	return nil
}

// Torn says what a crash has taken from the end of a log.
type Torn struct {
	// Any: something above the synced position was cut off.
	Any bool
	// State: it began with a bad state frame, so the last state is that of the segment
	// before.
	State bool
}

// Open finds a log again, and hands what it amounts to to a Restorer as it is read: the
// last state, perhaps others before it, and the entries after it. What lies at or below synced must be there and whole, or
// the error is ErrDamaged and nothing was changed. What lies above is kept up to
// the first gap or bad frame, and is certain only after the next Checkpoint.
//
// A zero position promises nothing but the first state frame.
//
// What was cut off may have begun with a new segment, so ask Full when the state
// is restored, before the next Append.
//
// An error other than ErrDamaged is the Restorer's.
func Open(log Log, synced Position, into Restorer, done func(*Store, Torn, error)) {
	newRecovery(log, synced, into, done).start()
}

// recovery reads the files of a folder, oldest first: of those before the synced
// position's only the state frames, the others whole.
type recovery struct {
	s      *Store
	synced Position
	// whole is the first segment to be read whole.
	whole api.Index
	// found are the files, ascending; at is the one being read.
	found []File
	at    int
	// reached: the frame that ends at the synced position was seen.
	reached bool
	into    Restorer
	failed  error // of into
	torn    Torn
	done    func(*Store, Torn, error)
}

func newRecovery(log Log, synced Position, into Restorer, done func(*Store, Torn, error)) *recovery {
	return &recovery{s: &Store{f: log.Files, folder: log.Folder, group: log.Group}, synced: synced, whole: synced.Segment, into: into, done: done}
}

func (r *recovery) start() {
	List(r.s.f, r.s.folder, func(found []File, err error) {
		if err != nil {
			r.damaged("%v", err)
			return
		}
		r.found = found
		r.listed()
	})
}

func (r *recovery) listed() {
	if len(r.found) == 0 {
		r.damaged("no segment in %s", r.s.folder)
		return
	}
	if r.synced == (Position{}) {
		// The first state frame is promised, and nothing else.
		r.whole, r.reached = r.found[0].Segment, true
	} else if !slices.ContainsFunc(r.found, func(f File) bool { return f.Segment == r.synced.Segment }) {
		r.damaged("segment %d is missing", r.synced.Segment)
		return
	}
	r.head()
}

// certain says whether the file being read is covered by the synced position, at
// least in part.
func (r *recovery) certain() bool {
	return r.at == 0 || r.found[r.at].Segment <= r.synced.Segment
}

// head reads the header of the state frame, and the rest of it if needed: where
// the log is read whole, and where a term began in the segment before.
func (r *recovery) head() {
	name := r.name()
	r.s.f.Load(name, 0, headerBytes, func(data []byte, err error) {
		h, bad := decodeHeader(r.s.group, data)
		switch {
		case err != nil || bad != nil || !r.follows(&h):
			r.badHead()
		case r.found[r.at].Segment >= r.whole || r.at > 0 && h.frame.Term > r.s.lastTerm():
			r.state(h)
		default:
			r.begin(h, nil)
			r.ended()
		}
	})
}

// follows says whether a state frame is the one that belongs here.
func (r *recovery) follows(h *header) bool {
	file := r.found[r.at]
	if h.frame.Kind != KindState || h.frame.Index != file.Segment || int64(h.bytes()) > file.Length {
		return false
	}
	if r.at == 0 {
		return true
	}
	before := r.s.active()
	return h.frame.Index-api.Index(h.frame.Count) == before.index &&
		h.frame.Base >= r.s.next && h.frame.Term >= r.s.lastTerm()
}

// state reads the whole state frame.
func (r *recovery) state(h header) {
	name := r.name()
	r.s.f.Load(name, headerBytes, h.data, func(data []byte, err error) {
		fr, bad := h.with(data)
		if err != nil || bad != nil {
			r.badHead()
			return
		}
		var before termStart
		if r.at > 0 {
			before = r.s.startBelow(r.s.active().index)
		}
		st, starts, err := decodeState(&fr, before)
		if err != nil || !r.agrees(&fr, starts) {
			r.badHead()
			return
		}
		r.begin(h, starts)
		if r.found[r.at].Segment < r.whole {
			r.ended()
			return
		}
		if r.failed = r.into.Begin(st); r.failed != nil {
			r.ended()
			return
		}
		r.entries(&fr)
	})
}

// agrees says whether a state frame tells the same of the segment before as its
// frames did, if they were read.
func (r *recovery) agrees(fr *Frame, starts []termStart) bool {
	if r.at == 0 || r.found[r.at-1].Segment < r.whole {
		return true
	}
	before := r.s.active()
	return fr.Index == r.s.last && fr.Base == r.s.next && fr.Term == r.s.lastTerm() &&
		slices.Equal(starts, r.s.startsAbove(before.index))
}

// begin takes a segment into the store, with the terms that began in the one
// before it.
func (r *recovery) begin(h header, starts []termStart) {
	s, fr := r.s, &h.frame
	if r.at == 0 {
		s.terms = []termStart{{fr.Index, fr.Term}}
	} else if r.found[r.at-1].Segment < r.whole {
		s.terms = append(s.terms, starts...)
	}
	s.push(newSegment(s.folder, fr, int64(h.bytes())))
	s.last, s.next = fr.Index, fr.Base
}

// entries reads the frames behind the state frame.
func (r *recovery) entries(state *Frame) {
	g := r.s.active()
	if r.uncertain(g.state) {
		r.s.f.WriteAt(g.name, 0, appendFrame(r.s.group, nil, state))
	}
	r.reach(g.state, g.index)
	w := &walk{
		f: r.s.f, group: r.s.group, name: g.name, at: g.edge, end: r.found[r.at].Length, term: state.Term, load: maxLoadBytes,
		visit: r.visit,
		done:  func(error) { r.ended() },
	}
	w.next(0)
}

// uncertain says whether what ends at a position of the file being read was not
// promised.
func (r *recovery) uncertain(end int64) bool {
	segment := r.found[r.at].Segment
	return segment > r.synced.Segment || segment == r.synced.Segment && end > r.synced.Length
}

// reach notes that an entry ends at a position.
func (r *recovery) reach(end int64, index api.Index) {
	at := Position{index, r.found[r.at].Segment, end}
	if r.synced.Index == 0 { // an import: the manifest does not say the index
		at.Index = 0
	}
	r.reached = r.reached || at == r.synced
}

// visit takes frames into the store, and writes those that are not certain again.
func (r *recovery) visit(at place, raw []byte, frames []Frame) bool {
	start, again := at.position, at.position
	for i := range frames {
		fr := &frames[i]
		if r.failed = r.into.Take(*fr); r.failed != nil {
			return false
		}
		r.s.extend(*fr)
		at = at.after(fr)
		if !r.uncertain(at.position) {
			again = at.position
		}
		r.reach(at.position, fr.Index)
	}
	if again < at.position {
		r.s.f.WriteAt(r.name(), again, raw[again-start:at.position-start])
	}
	return true
}

// ended takes the end of a segment's walk; the store knows how far it got.
func (r *recovery) ended() {
	if r.failed != nil {
		r.done(nil, Torn{}, r.failed)
		return
	}
	g, file := r.s.active(), r.found[r.at]
	if file.Segment < r.whole {
		g.length, g.synced = file.Length, file.Length
		r.at++
		r.head()
		return
	}
	g.synced = r.syncedLength(g)
	whole := g.length == file.Length
	last := r.at == len(r.found)-1
	follows := !last && r.found[r.at+1].Segment == r.s.last
	switch {
	case file.Segment < r.synced.Segment && !(whole && follows):
		r.damaged("%s at %d", g.name, g.length)
	case file.Segment == r.synced.Segment && !r.reached:
		r.damaged("%s at %d, synced to %d", g.name, g.length, r.synced.Length)
	case whole && follows:
		r.at++
		r.head()
	default:
		r.cut(r.at + 1)
	}
}

func (r *recovery) syncedLength(g *segment) int64 {
	switch {
	case g.index < r.synced.Segment:
		return g.length
	case g.index == r.synced.Segment:
		return min(g.length, r.synced.Length)
	}
	return 0
}

// badHead falls back to the segment before, if that is allowed.
func (r *recovery) badHead() {
	if r.certain() {
		r.damaged("state frame of %s", r.name())
		return
	}
	r.torn.State = true
	r.cut(r.at)
}

// cut ends the log where the store does, and removes the files from one on.
func (r *recovery) cut(from int) {
	g := r.s.active()
	if r.found[from-1].Length > g.length {
		r.s.f.Truncate(g.name, g.length)
		r.torn.Any = true
	}
	for _, file := range r.found[from:] {
		r.s.f.Remove(fileName(r.s.folder, file.Segment))
		r.torn.Any = true
	}
	r.s.certain = r.synced
	if g.index > r.synced.Segment || from < len(r.found) {
		r.s.names++
	}
	r.done(r.s, r.torn, nil)
}

func (r *recovery) name() string { return fileName(r.s.folder, r.found[r.at].Segment) }

func (r *recovery) damaged(format string, args ...any) {
	r.done(nil, Torn{}, fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...)))
}
