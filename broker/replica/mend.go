package replica

import (
	"errors"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/env"
	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/broker/segment"
	"github.com/reprise-mq/reprise/broker/trace"
)

// mending restores segments that a disk has damaged from other replicas, one at a
// time. What is damaged is known to be committed, here and on a majority: so it is no
// promise that is lost, and the replica goes on meanwhile. Reads of the damaged part
// fail until it is whole again.
type mending struct {
	cfg    Config
	folder string // of the log
	// queue has the files that wait; the first one is under way.
	queue []segment.File
	// attempt counts the requests, which go to one replica after the other; refused
	// those in a row that were answered by somebody who does not have the file.
	attempt, refused int
	// over: nobody needs the result any more. gone: the log has a file no more.
	over func() bool
	gone func(api.Index) bool
	// newest is a file that whoever has the log has unless it is behind; what is older
	// and not there has been given up by retention. 0 if that is not to be found out.
	newest api.Index
	// done is called with each file that is settled.
	done func(segment.File)
}

// maxRefusals in a row say that retention has given up all of a log that does not
// open: everybody else goes on from a later state, which only a new replica can get.
const maxRefusals = 8

// add has a file restored, unless it waits already.
func (m *mending) add(file segment.File) {
	if slices.ContainsFunc(m.queue, func(f segment.File) bool { return f.Segment == file.Segment }) {
		return
	}
	m.queue = append(m.queue, file)
	m.note("damaged segment found", file)
	if len(m.queue) == 1 {
		m.begin()
	}
}

func (m *mending) note(what string, file segment.File) {
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
		m.next()
		return
	}
	m.copyNext(segment.NewMend(m.cfg.Files, m.folder, m.queue[0]))
}

func (m *mending) copyNext(file *segment.Mend) {
	position, length, more := file.Next(m.cfg.CopyBytes)
	if !more {
		file.Finish(m.finished)
		return
	}
	m.ask(file.Segment(), position, length, func(data []byte, err error) {
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
		m.refused = 0
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
			segment.RemoveUpTo(m.cfg.Files, m.folder, index, m.finished)
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
	m.cfg.Host.Pause(m.again)
}

// again goes on after an attempt that failed. It may be that nobody has the file, and
// that it is whole: a disk may once give what it does not have. So it is looked at again,
// ever more seldom, before the next replica is asked for it.
func (m *mending) again() {
	if len(m.queue) == 0 || m.over() || m.attempt&(m.attempt-1) != 0 {
		m.begin()
		return
	}
	segment.Check(m.cfg.Files, m.folder, m.queue[0], func(whole bool, err error) {
		if err == nil && whole {
			m.finished(nil)
			return
		}
		m.begin()
	})
}

// finished takes the end of the first file's restoration.
func (m *mending) finished(err error) {
	switch {
	case m.over():
	case m.gone(m.queue[0].Segment):
		m.next()
	case err != nil:
		m.cfg.Host.Fail(err)
	default:
		m.note("damaged segment restored", m.queue[0])
		m.next()
	}
}

// next goes on with the file after the first one, which is settled.
func (m *mending) next() {
	file := m.queue[0]
	m.queue = m.queue[1:]
	m.done(file)
	m.begin()
}

// watch has the damage in a log restored that reads and scrubs of it find.
func (r *Replica) watch(store *segment.Store) {
	find := func(index api.Index) (segment.File, bool) {
		files := store.Manifest()
		i := slices.IndexFunc(files, func(f segment.File) bool { return f.Segment == index })
		if i < 0 {
			return segment.File{}, false
		}
		return files[i], true
	}
	m := &mending{
		cfg: r.cfg, folder: folderName(r.cfg, r.folder),
		over: func() bool { return r.closed || r.store != store },
		gone: func(index api.Index) bool { _, held := find(index); return !held },
		done: func(segment.File) {},
	}
	store.OnDamage(func(index api.Index) {
		if file, held := find(index); held && !m.over() {
			m.add(file)
		}
	})
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
	m.done = func(segment.File) {
		if len(m.queue) == 0 {
			then()
		}
	}
	segment.Promised(cfg.Files, m.folder, position(image.Checkpoint), func(files []segment.File, err error) {
		switch {
		case m.over():
		case err != nil:
			cfg.Host.Fail(err)
		default:
			m.check(files, nil, unlucky)
		}
	})
}

// check looks through files for damaged ones, and restores those.
func (m *mending) check(files, damaged []segment.File, unlucky func()) {
	if len(files) == 0 {
		if len(damaged) == 0 {
			unlucky()
		}
		for _, file := range damaged {
			m.add(file)
		}
		return
	}
	segment.Check(m.cfg.Files, m.folder, files[0], func(whole bool, err error) {
		if m.over() {
			return
		}
		if err != nil {
			m.cfg.Host.Fail(err)
			return
		}
		if !whole {
			damaged = append(damaged, files[0])
		}
		m.check(files[1:], damaged, unlucky)
	})
}

// isDamage reports whether an error of opening a log says that the disk has not kept
// what it was given.
func isDamage(err error) bool {
	return errors.Is(err, segment.ErrDamaged) || errors.Is(err, env.ErrIO)
}

// Discard ends for good a replica whose log is not open; see Replica.Destroy.
func Discard(cfg Config) {
	folder := cfg.Journal.Image(cfg.Group).Folder
	cfg.Journal.Append(journal.Update{Group: cfg.Group, Destroyed: cfg.ID}, func() { removeFolder(cfg, folder) })
}

// isGone reports whether a peer has said that it does not have a segment.
func isGone(err error) bool {
	e := (*api.Error)(nil)
	return errors.Is(err, segment.ErrGone) || errors.As(err, &e) && e.GetCode() == api.Code_SEGMENT_GONE
}
