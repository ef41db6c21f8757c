package disk

import (
	"cmp"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/env"
)

// Handle is the disk of one life of a process; it implements env.Disk.
type Handle struct {
	disk   *Disk
	life   uint64
	answer func(func(env.Process))
	failed map[string]error // the first failed call since the name's last sync
	// broken files had a sync fail: what the later ones would say means nothing.
	broken map[string]bool
}

var _ env.Disk = (*Handle)(nil)

// Create makes a file; see env.Disk.
func (h *Handle) Create(name string, size int64) {
	d := h.disk
	switch {
	case h.dead():
		return
	case d.files[name] != nil:
		h.fail(name, env.ErrExist)
		return
	case !proper(name), d.blocked(name):
		h.fail(name, env.ErrIO)
		return
	case size > d.Free():
		h.refuse(name)
		return
	}
	above := d.makeFolder(parent(name))
	d.made++
	f := &file{name: name, number: d.made}
	d.files[name] = f
	above.pending = append(above.pending, rename{name: name, file: f})
	f.call(change{position: size})
	d.watcher.Called(Operation{Kind: Create, Name: name, Position: size})
}

// Append writes at the end of a file; see env.Disk.
func (h *Handle) Append(name string, data []byte) {
	if f := h.file(name); f != nil {
		h.write(f, int64(len(f.seen)), data)
	}
}

// WriteAt writes at a position of a file; see env.Disk.
func (h *Handle) WriteAt(name string, position int64, data []byte) {
	if f := h.file(name); f != nil {
		h.write(f, position, data)
	}
}

// Truncate sets a file's size; see env.Disk.
func (h *Handle) Truncate(name string, size int64) {
	f := h.file(name)
	switch {
	case f == nil:
	case size-int64(len(f.seen)) > h.disk.Free():
		h.refuse(name)
	default:
		f.call(change{position: size})
		h.disk.watcher.Called(Operation{Kind: Truncate, Name: name, Position: size})
	}
}

// Remove removes a file or an empty folder; see env.Disk.
func (h *Handle) Remove(name string) {
	d := h.disk
	switch {
	case h.dead():
		return
	case d.files[name] != nil:
		delete(d.files, name)
		delete(d.short, name)
		delete(h.broken, name)
	case name != "" && d.folders[name] != nil:
		if len(d.list(name)) > 0 {
			h.fail(name, env.ErrIO)
			return
		}
		delete(d.folders, name)
	default:
		h.fail(name, env.ErrNotExist)
		return
	}
	above := d.folders[parent(name)]
	above.pending = append(above.pending, rename{name: name})
	d.watcher.Called(Operation{Kind: Remove, Name: name})
}

// Sync makes a file or folder durable; see env.Disk.
func (h *Handle) Sync(ticket env.Ticket, name string) {
	if h.dead() {
		return
	}
	d := h.disk
	d.watcher.Called(Operation{Kind: Sync, Name: name})
	err := h.failed[name]
	delete(h.failed, name)
	if f := d.files[name]; f != nil {
		through, broken := f.numbered(), d.brokenSync(f)
		h.later(&f.lane, d.syncDelay(f), func() {
			switch {
			case broken || h.broken[name]:
				f.drop(through)
				h.broken[name] = true
				err = cmp.Or(err, env.ErrIO)
			case err == nil:
				astray, led := d.lead(f, through)
				d.settled(f, f.settle(through))
				if led {
					d.stray(f, astray)
				}
			}
			h.answer(func(p env.Process) { p.Synced(ticket, err) })
		})
		return
	}
	if f := d.folders[name]; f != nil {
		through := f.numbered()
		h.later(&f.lane, d.syncDelay(nil), func() {
			f.settle(through)
			h.answer(func(p env.Process) { p.Synced(ticket, err) })
		})
		return
	}
	if err == nil {
		err = env.ErrNotExist
	}
	h.later(&lane{}, d.syncDelay(nil), func() {
		h.answer(func(p env.Process) { p.Synced(ticket, err) })
	})
}

// Load reads a range of a file; see env.Disk.
func (h *Handle) Load(ticket env.Ticket, name string, position int64, length int) {
	if h.dead() {
		return
	}
	f := h.disk.files[name]
	if f == nil {
		h.later(&lane{}, h.disk.loadDelay(0), func() {
			h.answer(func(p env.Process) { p.Loaded(ticket, nil, env.ErrNotExist) })
		})
		return
	}
	size := int64(len(f.seen))
	from := min(position, size)
	data := slices.Clone(f.seen[from:min(from+int64(length), size)])
	h.disk.readStale(f, data)
	var err error
	if h.disk.unreadable(f, from, len(data)) {
		data, err = nil, env.ErrIO
	}
	h.later(&f.lane, h.disk.loadDelay(len(data)), func() {
		h.answer(func(p env.Process) { p.Loaded(ticket, data, err) })
	})
}

// List lists a folder; see env.Disk.
func (h *Handle) List(ticket env.Ticket, name string) {
	if h.dead() {
		return
	}
	var err error
	if name != "" && (!strings.HasSuffix(name, "/") || !proper(name[:len(name)-1])) {
		err = env.ErrIO
	}
	entries := h.disk.list(name)
	h.later(&lane{}, h.disk.loadDelay(0), func() {
		h.answer(func(p env.Process) { p.Listed(ticket, entries, err) })
	})
}

// Free is what the disk has left; see env.Disk.
func (h *Handle) Free() int64 { return h.disk.Free() }

func (h *Handle) dead() bool { return h.life != h.disk.life }

// file finds the file of a call; nil if the call has failed.
func (h *Handle) file(name string) *file {
	if h.dead() {
		return nil
	}
	f := h.disk.files[name]
	if f == nil {
		h.fail(name, env.ErrNotExist)
	}
	return f
}

func (h *Handle) fail(name string, err error) {
	if h.failed[name] == nil {
		h.failed[name] = err
	}
}

func (h *Handle) refuse(name string) {
	h.disk.refused = true
	h.fail(name, env.ErrNoSpace)
}

func (h *Handle) write(f *file, position int64, data []byte) {
	if len(data) == 0 {
		return
	}
	if h.disk.brokenWrite() {
		h.fail(f.name, env.ErrIO)
		return
	}
	if free := h.disk.Free(); position+int64(len(data))-int64(len(f.seen)) > free {
		// What fits may be there.
		h.refuse(f.name)
		data = data[:max(int64(len(f.seen))+free-position, 0)]
		if len(data) == 0 {
			return
		}
	}
	f.call(change{position: position, data: data})
	h.disk.watcher.Called(Operation{Kind: Write, Name: f.name, Position: position, Data: data})
}

// settled tells the watcher what has become durable.
func (d *Disk) settled(f *file, changes []change) {
	for _, c := range changes {
		d.mended(f, c)
		if c.data != nil {
			d.watcher.Durable(Operation{Kind: Write, Name: f.name, Position: c.position, Data: c.data})
		}
	}
}
