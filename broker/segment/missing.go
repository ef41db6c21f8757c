package segment

import "github.com/reprise-mq/reprise/broker/api"

// A disk may lose the oldest file of a log: nothing in the others says that it must be
// there, for retention takes the oldest ones away. Only who knows from which offset on the
// log is kept can tell.

// Missing gives the file before the oldest one, if the log must reach down to an offset and
// does not.
func (s *Store) Missing(start api.Offset) (Broken, bool) {
	first := s.segments[0]
	if first.base <= start || first.before == 0 {
		return Broken{}, false
	}
	return Broken{File: File{Segment: first.before}, Last: first.index}, true
}

// Extend takes in the file before the oldest one, which was missing and has been mended.
// False if that cannot be, because one of the two cannot be read, or is held no more.
func (s *Store) Extend(file Broken, done func(bool)) {
	first := s.segments[0]
	readState(s.log(), file.File, func(older *Frame, err error) {
		if err != nil {
			done(false)
			return
		}
		readState(s.log(), File{first.index, first.length}, func(newer *Frame, err error) {
			if err != nil {
				s.damaged(first)
			}
			done(err == nil && first == s.segments[0] && s.extendBy(file, older, newer))
		})
	})
}

// extendBy puts a file before the oldest one, given both state frames: the terms that began
// in it are in the newer one.
func (s *Store) extendBy(file Broken, older, newer *Frame) bool {
	begin := termStart{older.Index, older.Term}
	_, starts, err := decodeState(newer, begin)
	if err != nil || before(newer) != older.Index || older.Base > newer.Base || older.Term > newer.Term {
		return false
	}
	g := newSegment(s.folder, older, int64(older.bytes()))
	g.length, g.synced = file.Length, file.Length
	s.segments = append([]*segment{g}, s.segments...)
	s.terms = append(append([]termStart{begin}, starts...), s.terms[1:]...)
	s.touch(g)
	return true
}
