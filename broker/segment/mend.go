package segment

import (
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// Broken is a file of a log that is to be whole, or to be there, again.
type Broken struct {
	File
	// Last is the last entry of a file that another one follows: it ends there, whatever
	// its length. 0 for the newest file, which ends at its length.
	Last api.Index
}

// Broken describes a file of the log for whoever mends it; false if it is not held.
func (s *Store) Broken(index api.Index) (Broken, bool) {
	i, held := s.find(index)
	switch {
	case !held:
		return Broken{}, false
	case i == len(s.segments)-1:
		return Broken{File: File{index, s.segments[i].length}}, true
	}
	return Broken{File: File{index, s.segments[i].length}, Last: s.segments[i+1].index}, true
}

// Mended takes note of the length of a file that is whole again, if another follows it.
func (s *Store) Mended(file Broken) {
	if i, held := s.find(file.Segment); held && file.Last > 0 {
		g := s.segments[i]
		g.length, g.synced = file.Length, min(g.synced, file.Length)
	}
}

// Mend restores one file of a log from the bytes that other replicas have of it,
// which are the same. Only frames that are whole and belong where they stand are
// written, each in its place: so a crash in the middle, or a copy that is damaged
// itself, leaves nothing worse than it was.
type Mend struct {
	group        api.GroupID
	f            *files.Files
	folder, name string
	file         Broken
	// size is how long the file is, below 0 if it is not there.
	size int64
	// at is the place of the next frame, with position 0 for the state frame; rest
	// holds what was taken of it.
	at   place
	term api.Term
	rest []byte
	// before is the file before this one, as its state frame says.
	before api.Index
}

// NewMend starts to restore a file of a folder. A file that is not there is made when a
// peer has given something of it.
func NewMend(log Log, file Broken, done func(*Mend, error)) {
	m := &Mend{group: log.Group, f: log.Files, folder: log.Folder, name: fileName(log.Folder, file.Segment), file: file, size: -1}
	m.f.List(m.folder, func(entries []env.FileInfo, err error) {
		for _, e := range entries {
			if e.Name == m.name {
				m.size = e.Size
			}
		}
		done(m, wrap("list", m.folder, err))
	})
}

// Segment is the index of the file.
func (m *Mend) Segment() api.Index { return m.file.Segment }

// Next says what to ask a peer for: the bytes that follow those taken, at most max.
// False when there is nothing left.
func (m *Mend) Next(max int) (position int64, length int, ok bool) {
	position = m.at.position + int64(len(m.rest))
	left := int64(MaxCopyBytes)
	switch {
	case m.ends():
		left = 0
	case m.file.Last == 0:
		left = m.file.Length - position
	}
	length = int(min(left, int64(max), MaxCopyBytes))
	return position, length, length > 0
}

// ends reports whether the last frame of a file that another one follows was taken.
func (m *Mend) ends() bool { return m.file.Last > 0 && m.at.index > m.file.Last }

// Take writes the whole frames of what a peer has given. ErrDamaged says that they
// are not those that must stand there; ask another peer, from the beginning.
func (m *Mend) Take(data []byte) error {
	m.rest = append(m.rest, data...)
	for len(m.rest) >= headerBytes && !m.ends() {
		h, err := decodeHeader(m.group, m.rest)
		if err != nil || !m.fits(&h) {
			return m.refuse()
		}
		n := h.bytes()
		if len(m.rest) < n {
			break
		}
		fr, err := h.with(m.rest[headerBytes:n:n])
		if err != nil {
			return m.refuse()
		}
		m.make()
		m.f.WriteAt(m.name, m.at.position, m.rest[:n:n])
		m.rest = m.rest[n:]
		m.pass(&fr)
	}
	if m.ends() {
		m.rest = nil // the peer's file is too long
	}
	if _, _, more := m.Next(1); !more && len(m.rest) > 0 {
		return m.refuse()
	}
	return nil
}

// make makes a file that is not there.
func (m *Mend) make() {
	if m.size < 0 {
		m.f.Create(m.name, 0)
		m.size = 0
	}
}

// fits says whether a frame with this header may stand at the present place.
func (m *Mend) fits(h *header) bool {
	fr := &h.frame
	if m.file.Last == 0 && m.at.position+int64(h.bytes()) > m.file.Length {
		return false
	}
	if m.at.position == 0 {
		return fr.Kind == KindState && fr.Index == m.file.Segment
	}
	return fr.Kind != KindState && fr.Index == m.at.index && fr.Base == m.at.offset && fr.Term >= m.term
}

// pass goes on behind a frame.
func (m *Mend) pass(fr *Frame) {
	if fr.Kind == KindState {
		m.before = before(fr)
	}
	m.at, m.term = place{m.at.position + int64(fr.bytes()), fr.Index + 1, fr.next()}, fr.Term
}

// refuse begins again, for another peer.
func (m *Mend) refuse() error {
	at := m.at.position
	m.at, m.term, m.rest = place{}, 0, nil
	return fmt.Errorf("%w: a peer's copy of %s at %d", ErrDamaged, m.name, at)
}

// Finish makes what was written certain, and cuts off what lies beyond the end of a file
// that another one follows. It gives the file as it is now, and which it follows itself.
func (m *Mend) Finish(done func(file Broken, before api.Index, err error)) {
	if m.ends() {
		m.file.Length = m.at.position
		if m.size > m.file.Length {
			m.f.Truncate(m.name, m.file.Length)
		}
	}
	m.f.Sync(m.name, func(err error) {
		if err != nil {
			done(m.file, m.before, wrap("sync", m.name, err))
			return
		}
		// Its name may be new.
		m.f.Sync(m.folder, func(err error) { done(m.file, m.before, wrap("sync", m.folder, err)) })
	})
}

// before is the index of the file before the one that a state frame begins; 0 if the log
// began with it.
func before(state *Frame) api.Index {
	if state.Count == 0 {
		return 0
	}
	return state.Index - api.Index(state.Count)
}

// List gives the files of a log that need not be open, oldest first.
func List(f *files.Files, folder string, done func([]File, error)) {
	f.List(folder, func(entries []env.FileInfo, err error) {
		var found []File
		for _, e := range entries {
			if index, ok := parseName(folder, e.Name); ok {
				found = append(found, File{index, e.Size})
			}
		}
		done(found, wrap("list", folder, err))
	})
}

// RemoveUpTo removes the files of a log that is not open up to one of them: what
// retention has given up elsewhere, and cannot be had any more. Each is surely gone
// before the next goes, so that a crash leaves no hole.
func RemoveUpTo(f *files.Files, folder string, last api.Index, done func(error)) {
	f.List(folder, func(entries []env.FileInfo, err error) {
		i := slices.IndexFunc(entries, func(e env.FileInfo) bool {
			index, ok := parseName(folder, e.Name)
			return ok && index <= last
		})
		if err != nil || i < 0 {
			done(wrap("list", folder, err))
			return
		}
		f.Remove(entries[i].Name)
		f.Sync(folder, func(err error) {
			if err != nil {
				done(wrap("sync", folder, err))
				return
			}
			RemoveUpTo(f, folder, last, done)
		})
	})
}

// Check reads a file of a log, and says whether it is whole: every frame in it is, belongs
// there, and it ends where it must. It gives the file with its length, and which one it
// follows, as far as that can be read.
func Check(log Log, file Broken, done func(file Broken, before api.Index, whole bool)) {
	if file.Last == 0 {
		check(log, file, done)
		return
	}
	List(log.Files, log.Folder, func(found []File, err error) {
		i := slices.IndexFunc(found, func(other File) bool { return other.Segment == file.Segment })
		if err != nil || i < 0 {
			done(file, 0, false)
			return
		}
		file.Length = found[i].Length
		check(log, file, done)
	})
}

func check(log Log, file Broken, done func(file Broken, before api.Index, whole bool)) {
	readState(log, file.File, func(fr *Frame, err error) {
		if err != nil {
			done(file, 0, false)
			return
		}
		w := &walk{
			f: log.Files, group: log.Group, name: file.Name(log.Folder), at: place{int64(fr.bytes()), fr.Index + 1, fr.Base}, end: file.Length, term: fr.Term,
			load:  maxLoadBytes,
			visit: func(place, []byte, []Frame) bool { return true },
		}
		w.done = func(err error) {
			done(file, before(fr), err == nil && (file.Last == 0 || w.at.index == file.Last+1))
		}
		w.next(0)
	})
}

// readState reads the state frame of a file.
func readState(log Log, file File, done func(*Frame, error)) {
	f, name := log.Files, file.Name(log.Folder)
	f.Load(name, 0, headerBytes, func(data []byte, err error) {
		if err != nil {
			done(nil, fmt.Errorf("load %s: %w", name, err))
			return
		}
		h, err := decodeHeader(log.Group, data)
		if err != nil || h.frame.Kind != KindState || h.frame.Index != file.Segment || int64(h.bytes()) > file.Length {
			done(nil, ErrFrame)
			return
		}
		f.Load(name, headerBytes, h.data, func(data []byte, err error) {
			if err != nil {
				done(nil, fmt.Errorf("load %s: %w", name, err))
				return
			}
			fr, err := h.with(data)
			done(&fr, err)
		})
	})
}
