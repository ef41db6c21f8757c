package segment

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// Mend restores one file of a log from the bytes that other replicas have of it,
// which are the same. Only frames that are whole and belong where they stand are
// written, each in its place: so a crash in the middle, or a copy that is damaged
// itself, leaves nothing worse than it was.
type Mend struct {
	f    *files.Files
	name string
	file File
	// at is the place of the next frame, with position 0 for the state frame; rest
	// holds what was taken of it.
	at   place
	term api.Term
	rest []byte
}

// NewMend starts to restore a file of a folder, up to a length at which a frame
// ends. The file must be there.
func NewMend(f *files.Files, folder string, file File) *Mend {
	return &Mend{f: f, name: fileName(folder, file.Segment), file: file}
}

// Segment is the index of the file.
func (m *Mend) Segment() api.Index { return m.file.Segment }

// Next says what to ask a peer for: the bytes that follow those taken, at most max.
// False when there is nothing left.
func (m *Mend) Next(max int) (position int64, length int, ok bool) {
	position = m.at.position + int64(len(m.rest))
	length = int(min(m.file.Length-position, int64(max), MaxCopyBytes))
	return position, length, length > 0
}

// Take writes the whole frames of what a peer has given. ErrDamaged says that they
// are not those that must stand there; ask another peer, from the beginning.
func (m *Mend) Take(data []byte) error {
	m.rest = append(m.rest, data...)
	for len(m.rest) >= headerBytes {
		h, err := decodeHeader(m.rest)
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
		m.f.WriteAt(m.name, m.at.position, m.rest[:n:n])
		m.rest = m.rest[n:]
		m.pass(&fr)
	}
	if _, _, more := m.Next(1); !more && len(m.rest) > 0 {
		return m.refuse()
	}
	return nil
}

// fits says whether a frame with this header may stand at the present place.
func (m *Mend) fits(h *header) bool {
	fr := &h.frame
	if m.at.position+int64(h.bytes()) > m.file.Length {
		return false
	}
	if m.at.position == 0 {
		return fr.Kind == KindState && fr.Index == m.file.Segment
	}
	return fr.Kind != KindState && fr.Index == m.at.index && fr.Base == m.at.offset && fr.Term >= m.term
}

// pass goes on behind a frame.
func (m *Mend) pass(fr *Frame) {
	m.at, m.term = place{m.at.position + int64(fr.bytes()), fr.Index + 1, fr.next()}, fr.Term
}

// refuse begins again, for another peer.
func (m *Mend) refuse() error {
	at := m.at.position
	m.at, m.term, m.rest = place{}, 0, nil
	return fmt.Errorf("%w: a peer's copy of %s at %d", ErrDamaged, m.name, at)
}

// Finish makes what was written certain.
func (m *Mend) Finish(done func(error)) {
	m.f.Sync(m.name, func(err error) { done(wrap("sync", m.name, err)) })
}

// Promised lists what must be there and whole of a log in a folder, given how far it
// was synced: the files up to the one with that position, that one up to there.
func Promised(f *files.Files, folder string, synced Position, done func([]File, error)) {
	f.List(folder, func(entries []env.FileInfo, err error) {
		var promised []File
		for _, e := range entries {
			switch index, ok := parseName(folder, e.Name); {
			case !ok || index > synced.Segment:
			case index == synced.Segment:
				promised = append(promised, File{index, synced.Length})
			default:
				promised = append(promised, File{index, e.Size})
			}
		}
		done(promised, wrap("list", folder, err))
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

// Check reads a file of a log up to a length, and says whether every frame in it is
// whole and belongs there. An error is the disk's, and not about the file.
func Check(f *files.Files, folder string, file File, done func(whole bool, err error)) {
	name := fileName(folder, file.Segment)
	answer := func(err error) {
		whole := err == nil
		if unreadable(err) {
			err = nil
		}
		done(whole, err)
	}
	readState(f, name, file, func(fr *Frame, err error) {
		if err != nil {
			answer(err)
			return
		}
		w := &walk{
			f: f, name: name, at: place{int64(fr.bytes()), fr.Index + 1, fr.Base}, end: file.Length, term: fr.Term,
			load: maxLoadBytes, done: answer,
			visit: func(place, []byte, []Frame) bool { return true },
		}
		w.next(0)
	})
}

// readState reads the state frame of a file.
func readState(f *files.Files, name string, file File, done func(*Frame, error)) {
	f.Load(name, 0, headerBytes, func(data []byte, err error) {
		if err != nil {
			done(nil, fmt.Errorf("load %s: %w", name, err))
			return
		}
		h, err := decodeHeader(data)
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

// unreadable reports whether an error of a read says that the bytes of a file are
// not what was written there, or are not to be had: that is damage.
func unreadable(err error) bool {
	return errors.Is(err, ErrFrame) || errors.Is(err, ErrDamaged) || errors.Is(err, env.ErrIO)
}
