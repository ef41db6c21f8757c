package segment

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/files"
)

// MaxCopyBytes bounds one answer of Copy.
const MaxCopyBytes = 1 << 20

// Checkpoint makes certain what is appended now, and says how far that is. After
// an error no checkpoint of this store succeeds: nothing is known of the files any
// more. Open the folder again at the last good position, and append from the
// journal what is missing. done may run before Checkpoint returns.
func (s *Store) Checkpoint(done func(Position, error)) {
	a := s.active()
	c := &checkpoint{s: s, done: done, names: s.names, position: Position{s.last, a.index, a.length}}
	// The count is complete before the first answer, whenever that comes.
	c.waiting = 1
	for _, g := range s.segments {
		if g.synced < g.length {
			c.sync(g)
		}
	}
	if s.syncedNames < s.names {
		c.waiting++
		s.f.Sync(s.folder, func(err error) { c.synced(s.folder, err) })
	}
	c.synced("", s.failed)
}

// checkpoint is one under way. Several may be; each waits for all that is not
// certain when it starts.
type checkpoint struct {
	s        *Store
	position Position
	// names is the store's at the start.
	names uint64
	// waiting counts the answers to come.
	waiting int
	err     error
	done    func(Position, error)
}

func (c *checkpoint) sync(g *segment) {
	c.waiting++
	length := g.length
	c.s.f.Sync(g.name, func(err error) {
		if err == nil {
			g.synced = max(g.synced, length)
		}
		c.synced(g.name, err)
	})
}

func (c *checkpoint) synced(name string, err error) {
	if err != nil && c.err == nil {
		c.err = err
		if name != "" {
			c.err = fmt.Errorf("sync %s: %w", name, err)
		}
		c.s.fail(c.err)
	}
	c.waiting--
	if c.waiting > 0 {
		return
	}
	if c.err == nil {
		c.err = c.s.failed // another checkpoint's, after this one started
	}
	if c.err != nil {
		c.done(Position{}, c.err)
		return
	}
	c.s.syncedNames = max(c.s.syncedNames, c.names)
	if c.position.newer(c.s.certain) {
		c.s.certain = c.position
	}
	c.done(c.position, nil)
}

func (s *Store) fail(err error) {
	if s.failed == nil {
		s.failed = err
	}
}

// Droppable counts the oldest segments whose records all lie below an offset. The
// active segment is never among them.
func (s *Store) Droppable(before api.Offset) int {
	return sort.Search(len(s.segments)-1, func(i int) bool { return s.segments[i+1].base > before })
}

// Drop removes the droppable segments that are older than the one the last
// checkpoint ended in. The journal's mark of that checkpoint must be synced: a mark
// of an older one may name a segment that goes here, and recovery would miss it.
// Reads of what was dropped get ErrGone from now on.
func (s *Store) Drop(before api.Offset) {
	n := s.Droppable(before)
	n = min(n, sort.Search(len(s.segments), func(i int) bool { return s.segments[i].index >= s.certain.Segment }))
	if n == 0 {
		return
	}
	idle := len(s.unlink) == 0
	for _, g := range s.segments[:n] {
		s.unlink = append(s.unlink, g.name)
	}
	s.segments = append([]*segment(nil), s.segments[n:]...)
	s.marked = slices.DeleteFunc(s.marked, func(g *segment) bool { return g.index < s.First() })
	first := s.startBelow(s.First())
	s.terms = append([]termStart{first}, s.startsAbove(first.index)...)
	if idle {
		s.unlinkNext()
	}
}

// unlinkNext removes one file and makes that certain before the next goes: so a
// crash never leaves a hole between two segments, and a hole is always damage.
func (s *Store) unlinkNext() {
	if len(s.unlink) == 0 {
		return
	}
	s.f.Remove(s.unlink[0])
	s.f.Sync(s.folder, func(err error) {
		if err != nil {
			s.fail(fmt.Errorf("sync %s: %w", s.folder, err))
			return
		}
		s.unlink = s.unlink[1:]
		s.unlinkNext()
	})
}

// File is one segment's file, as a manifest names it.
type File struct {
	Segment api.Index
	// Length in bytes, as far as it counts.
	Length int64
}

// Name is the file's, in the folder of its log.
func (f File) Name(folder string) string { return fileName(folder, f.Segment) }

// Manifest lists the files up to what is appended now, ascending.
func (s *Store) Manifest() []File {
	var m []File
	for _, g := range s.segments {
		m = append(m, File{g.index, g.length})
	}
	return m
}

// Copy reads bytes of a segment's file for a joiner: at least one, at most length
// and MaxCopyBytes, fewer where the file ends. It gets ErrGone if there are none.
func (s *Store) Copy(index api.Index, position int64, length int, done func([]byte, error)) {
	i, held := s.find(index)
	if !held || position < 0 || position >= s.segments[i].length || length <= 0 {
		done(nil, ErrGone)
		return
	}
	g := s.segments[i]
	n := int(min(int64(length), MaxCopyBytes, g.length-position))
	s.f.Load(g.name, position, n, func(data []byte, err error) {
		_, held := s.find(index)
		switch {
		case !held:
			err = ErrGone
		case err != nil || len(data) < n:
			s.damaged(g)
			err = fmt.Errorf("%w: %s at %d", ErrDamaged, g.name, position)
		}
		if err != nil {
			data = nil
		}
		done(data, err)
	})
}

// RemoveAll removes a log, also one that does not open or is not there. No store
// of the folder may be in use.
func RemoveAll(f *files.Files, folder string, done func(error)) {
	f.List(parent(folder), func(entries []env.FileInfo, err error) {
		there := slices.ContainsFunc(entries, func(e env.FileInfo) bool { return e.Name == folder })
		if err != nil || !there {
			done(wrap("list", parent(folder), err))
			return
		}
		f.List(folder, func(entries []env.FileInfo, err error) {
			if err != nil {
				done(wrap("list", folder, err))
				return
			}
			for _, e := range entries {
				f.Remove(e.Name)
			}
			f.Remove(folder)
			f.Sync(parent(folder), func(err error) {
				if errors.Is(err, env.ErrNotExist) {
					err = nil // that is gone too
				}
				done(wrap("sync", parent(folder), err))
			})
		})
	})
}

func wrap(what, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// parent is the folder that a folder stands in.
func parent(folder string) string {
	for i := len(folder) - 2; i >= 0; i-- {
		if folder[i] == '/' {
			return folder[:i+1]
		}
	}
	return ""
}
