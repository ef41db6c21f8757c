package replica

import (
	"errors"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// mending restores segments that a disk has damaged or lost from other replicas, one at
// a time. What is damaged is known to be committed, here and on a majority: so it is no
// promise that is lost, and the replica goes on meanwhile. Reads of the damaged part
// fail until it is whole again.
type mending struct {
	cfg    Config
	folder string // of the log
	// queue has the files that wait; the first one is under way.
	queue []segment.Broken
	// attempt counts the requests, which go to one replica after the other; refused
	// those that were answered by somebody who does not have the file, since the last
	// by somebody who does; and failures the attempts in a row that have restored nothing.
	attempt, refused, failures int
	// over: nobody needs the result any more. gone: the log has a file no more.
	over func() bool
	gone func(api.Index) bool
	// newest is a file that whoever has the log has unless it is behind; what is older
	// and not there has been given up by retention. 0 if that is not to be found out.
	newest api.Index
	// done is called with each file that is settled, and with the file that it follows: 0
	// if there is none any more.
	done func(file segment.Broken, before api.Index)
}

// maxRefusals say that retention has given up all of a log that does not
// open: everybody else goes on from a later state, which only a new replica can get.
const maxRefusals = 8

func (m *mending) log() segment.Log {
	return segment.Log{Files: m.cfg.Files, Folder: m.folder, Group: m.cfg.Group}
}

// add has a file restored, unless it waits already.
func (m *mending) add(file segment.Broken) {
	if slices.ContainsFunc(m.queue, func(f segment.Broken) bool { return f.Segment == file.Segment }) {
		return
	}
	m.queue = append(m.queue, file)
	m.note("damaged segment found", file)
	if len(m.queue) == 1 {
		m.begin()
	}
}

func (m *mending) note(what string, file segment.Broken) {
	m.cfg.Trace(trace.Event{
		Level: trace.Warn, Name: what, Group: m.cfg.Group, Replica: m.cfg.ID,
		Index: file.Segment, File: file.Name(m.folder), Bytes: file.Length,
	})
}

// begin restores the first file of the queue, from its beginning.
func (m *mending) begin() {
	if len(m.queue) == 0 || m.over() {
		return
	}
	if m.gone(m.queue[0].Segment) {
		m.next(0)
		return
	}
	segment.NewMend(m.log(), m.queue[0], func(file *segment.Mend, err error) {
		switch {
		case m.over():
		case err != nil:
			m.another()
		default:
			m.copyNext(file)
		}
	})
}

func (m *mending) copyNext(file *segment.Mend) {
	position, length, more := file.Next(m.cfg.CopyBytes)
	if !more {
		file.Finish(m.finished)
		return
	}
	m.ask(file.Segment(), position, length, func(data []byte, err error) {
		if m.gone(file.Segment()) {
			m.next(0)
			return
		}
		if err == nil {
			err = file.Take(data)
		}
		if err != nil {
			m.failed(file.Segment(), err)
			return
		}
		m.refused = 0
		m.copyNext(file)
	})
}

// ask gets bytes of a segment from the replica whose turn it is; an empty answer is
// an error.
func (m *mending) ask(index api.Index, position int64, length int, done func([]byte, error)) {
	m.cfg.Host.CopyFromAny(m.cfg.Group, m.attempt, index, position, length, func(data []byte, err error) {
		if m.over() {
			return
		}
		if err == nil && len(data) == 0 {
			err = segment.ErrGone
		}
		done(data, err)
	})
}

// failed goes on with the next replica: this one does not have the file, or not
// whole, or is not there. If it says that it is gone, and has a newer one, retention
// has given this one up.
func (m *mending) failed(index api.Index, err error) {
	switch {
	case !isGone(err) || m.newest == 0:
		if !isSilent(err) {
			m.refused = 0
		}
		m.another()
	case index >= m.newest:
		m.lost()
	default:
		m.ask(index, 0, 1, func(_ []byte, err error) { m.older(index, err) })
	}
}

// older takes whether a peer has any of a file that is not the newest, and finds out
// whether it has what came later.
func (m *mending) older(index api.Index, err error) {
	if !isGone(err) {
		m.another() // it has the file, and not all of it
		return
	}
	m.ask(m.newest, 0, 1, func(_ []byte, err error) {
		switch {
		case err == nil:
			segment.RemoveUpTo(m.cfg.Files, m.folder, index, func(err error) { m.finished(m.queue[0], 0, err) })
		case isGone(err):
			m.lost()
		default:
			m.another()
		}
	})
}

// lost counts a peer that has none of the files.
func (m *mending) lost() {
	if m.refused++; m.refused >= maxRefusals {
		m.cfg.Host.LogLost(m.cfg.Group)
	}
	m.another()
}

func (m *mending) another() {
	m.attempt++
	if m.failures++; m.failures%maxRefusals == 0 {
		// Nobody who is there may have it; another file's turn.
		m.queue = append(m.queue[1:], m.queue[0])
	}
	m.cfg.Host.Pause(m.failures, m.again)
}

// again goes on after an attempt that failed. It may be that nobody has the file, and
// that it is whole: a disk may once give what it does not have. So it is looked at again,
// ever more seldom, before the next replica is asked for it.
func (m *mending) again() {
	if len(m.queue) == 0 || m.over() || m.attempt&(m.attempt-1) != 0 {
		m.begin()
		return
	}
	segment.Check(m.log(), m.queue[0], func(file segment.Broken, before api.Index, whole bool) {
		if whole {
			m.finished(file, before, nil)
			return
		}
		m.begin()
	})
}

// finished takes the end of the first file's restoration.
func (m *mending) finished(file segment.Broken, before api.Index, err error) {
	switch {
	case m.over():
	case m.gone(file.Segment):
		m.next(0)
	case err != nil:
		m.cfg.Host.Fail(err)
	default:
		m.queue[0] = file
		m.note("damaged segment restored", file)
		m.next(before)
	}
}

// next goes on with the file after the first one, which is settled.
func (m *mending) next(before api.Index) {
	file := m.queue[0]
	m.queue = m.queue[1:]
	m.failures = 0
	m.done(file, before)
	m.begin()
}

// watch has the damage in a log restored that reads and scrubs of it find, and what is
// missing of it.
func (r *Replica) watch(store *segment.Store) {
	m := &mending{
		cfg: r.cfg, folder: folderName(r.cfg, r.folder),
		over: func() bool { return r.closed || r.store != store },
		gone: func(index api.Index) bool {
			_, held := store.Broken(index)
			missing, lacks := store.Missing(r.machine.LogStart())
			return !held && !(lacks && missing.Segment == index)
		},
	}
	m.done = func(file segment.Broken, _ api.Index) {
		if _, held := store.Broken(file.Segment); held {
			store.Mended(file)
			return
		}
		r.reach(m, store, file)
	}
	store.OnDamage(func(index api.Index) {
		if file, held := store.Broken(index); held && !m.over() {
			m.add(file)
		}
	})
	if file, lacks := r.missing(); lacks {
		m.add(file)
	}
}

// reach takes in a file that was missing before the oldest one, and has the next such
// file restored. One that was given up meanwhile goes.
func (r *Replica) reach(m *mending, store *segment.Store, file segment.Broken) {
	if _, lacks := r.missing(); !lacks {
		segment.RemoveUpTo(r.cfg.Files, m.folder, file.Segment, func(err error) {
			if err != nil && !m.over() {
				r.cfg.Host.Fail(err)
			}
		})
		return
	}
	again := func() {
		if next, lacks := r.missing(); lacks && !m.over() {
			m.add(next)
		}
	}
	store.Extend(file, func(done bool) {
		if done {
			again()
		} else {
			r.cfg.Host.Pause(maxRefusals, again)
		}
	})
}

// missing gives the file that must stand before the oldest one and does not: a disk has
// lost it. As long as there is one, the log is no whole copy, and what it lacks says
// nothing of what retention has given up.
func (r *Replica) missing() (segment.Broken, bool) {
	if r.store == nil {
		return segment.Broken{}, false
	}
	return r.store.Missing(r.machine.LogStart())
}

// Scrub looks for damage in the next part of the log, about so many bytes.
func (r *Replica) Scrub(bytes int) {
	if r.store != nil && !r.closed {
		r.store.Scrub(bytes)
	}
}

// restoreLog restores what was promised of a log that does not open, and calls then
// when it is whole. unlucky is called if nothing in it is damaged.
func restoreLog(cfg Config, image *journal.Image, then, unlucky func()) {
	m := &mending{
		cfg: cfg, folder: folderName(cfg, image.Folder),
		over:   func() bool { return !cfg.Host.Waits(cfg.Group) },
		gone:   func(api.Index) bool { return false },
		newest: image.Checkpoint.Segment,
	}
	segment.List(cfg.Files, m.folder, func(files []segment.File, err error) {
		switch {
		case m.over():
		case err != nil:
			unlucky()
		default:
			l := &looking{mending: m, files: files, then: then, unlucky: unlucky}
			m.done = func(file segment.Broken, before api.Index) { l.older(file, before) }
			at := image.Checkpoint
			l.look(segment.Broken{File: segment.File{Segment: at.Segment, Length: at.Length}})
		}
	})
}

// looking goes through the files that were promised of a log, from the newest on, and has
// restored what is damaged or not there. Each says which one it follows, so it is seen
// where one is missing; not, which was the oldest.
type looking struct {
	*mending
	files         []segment.File
	damaged       bool // something was
	then, unlucky func()
}

func (l *looking) look(file segment.Broken) {
	segment.Check(l.log(), file, func(file segment.Broken, before api.Index, whole bool) {
		switch {
		case l.over():
		case whole:
			l.older(file, before)
		default:
			l.damaged = true
			l.add(file)
		}
	})
}

// older goes on with the file that one follows, which is whole.
func (l *looking) older(file segment.Broken, before api.Index) {
	switch promised := before > 0 && len(l.files) > 0 && l.files[0].Segment <= before; {
	case promised:
		l.look(segment.Broken{File: segment.File{Segment: before}, Last: file.Segment})
	case l.damaged:
		l.then()
	default:
		l.unlucky()
	}
}

// Discard ends for good a replica whose log is not open; see Replica.Destroy.
func Discard(cfg Config, done func()) {
	folder := cfg.Journal.Image(cfg.Group).Folder
	cfg.Journal.Append(journal.Update{Group: cfg.Group, Destroyed: cfg.ID}, func() {
		if folder == 0 {
			done()
			return
		}
		clearFolder(cfg, folder, done)
	})
}

// isSilent reports whether a peer has not said whether it has a segment.
func isSilent(err error) bool {
	e := (*api.Error)(nil)
	return errors.As(err, &e) && e.GetCode() != api.Code_LOG_DAMAGED
}

// isGone reports whether a peer has said that it does not have a segment.
func isGone(err error) bool {
	e := (*api.Error)(nil)
	return errors.Is(err, segment.ErrGone) || errors.As(err, &e) && e.GetCode() == api.Code_SEGMENT_GONE
}
