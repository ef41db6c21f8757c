package segment

import "github.com/reprise-mq/reprise/broker/api"

// scrub is how far the search for damage in files that nobody reads has come. It
// goes round and round.
type scrub struct {
	// segment is the file to look at next, or that follows it where it is gone; at is
	// the place in it, with position 0 for its state frame.
	segment api.Index
	at      place
	term    api.Term
	// left of the bytes of the call under way; above 0 while there is one.
	left int64
}

// OnDamage has found called whenever bytes of a file cannot be read as they were
// written, with the file's index. Whoever hears of it restores the file; see Mend.
func (s *Store) OnDamage(found func(api.Index)) { s.found = found }

// damaged tells of a file that is held still.
func (s *Store) damaged(g *segment) {
	if _, held := s.find(g.index); held && s.found != nil {
		s.found(g.index)
	}
}

// Scrub checks the next frames of the log, about so many bytes and no further than its
// end, unless the last call has not ended. Damage goes to OnDamage, and the search
// goes on with the next file.
func (s *Store) Scrub(bytes int) {
	if s.scrub.left <= 0 {
		s.scrub.left = int64(bytes)
		s.scrubNext()
	}
}

func (s *Store) scrubNext() {
	i, held := s.find(s.scrub.segment)
	if !held {
		s.scrub.at = place{}
	}
	if i == len(s.segments) {
		i = 0
	}
	g := s.segments[i]
	s.scrub.segment = g.index
	if s.scrub.at.position == 0 {
		readState(s.log(), File{g.index, g.length}, func(fr *Frame, err error) {
			if err != nil {
				s.scrubbed(g, s.scrub.at, 0, err)
				return
			}
			at := place{int64(fr.bytes()), fr.Index + 1, fr.Base}
			s.scrubbed(g, at, fr.Term, s.ended(g, at))
		})
		return
	}
	w := &walk{
		f: s.f, group: s.group, name: g.name, at: s.scrub.at, end: g.length, term: s.scrub.term,
		load: int(min(s.scrub.left, maxLoadBytes)),
	}
	w.visit = func(place, []byte, []Frame) bool { return false }
	w.done = func(err error) {
		if err == nil {
			err = s.ended(g, w.at)
		}
		s.scrubbed(g, w.at, w.term, err)
	}
	w.next(0)
}

// ended is ErrFrame if a file ends at a place, and that is not where the next one begins.
func (s *Store) ended(g *segment, at place) error {
	i, held := s.find(g.index)
	if !held || i == len(s.segments)-1 || at.position < g.length {
		return nil
	}
	if next := s.segments[i+1]; at.index != next.index+1 || at.offset != next.base {
		return ErrFrame
	}
	return nil
}

// scrubbed takes how far a file was read, and goes on: there, or with the next file
// where this one has ended or cannot be read.
func (s *Store) scrubbed(g *segment, at place, term api.Term, err error) {
	if err != nil {
		s.damaged(g)
	}
	s.scrub.left -= max(at.position-s.scrub.at.position, headerBytes)
	s.scrub.at, s.scrub.term = at, term
	if err != nil || at.position >= g.length {
		s.scrub.segment, s.scrub.at = g.index+1, place{}
		if g == s.active() {
			s.scrub.left = 0
		}
	}
	if s.scrub.left > 0 {
		s.scrubNext()
	}
}
