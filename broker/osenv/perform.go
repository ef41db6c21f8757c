package osenv

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/env"
)

// zeros is what a new file is filled with, a piece at a time.
var zeros [256 << 10]byte

// fillSync is after how many bytes of zeros they are synced.
const fillSync = 4 << 20

// errRange: a size, position or length is negative.
var errRange = errors.New("negative size or position")

// perform runs calls of a lane that the worker owns.
func (d *Disk) perform(l *lane, calls []*call) {
	c := calls[0]
	err := c.check()
	switch c.kind {
	case load:
		d.load(l, c, err)
		return
	case list:
		d.list(c, err)
		return
	case syncAll:
		d.sync(l, c, err)
		return
	}
	if err == nil {
		err = d.change(l, calls)
	}
	if l.failed == nil {
		l.failed = err
	}
}

// check refuses a call that cannot be meant.
func (c *call) check() error {
	err := checkName(c.name)
	switch {
	case err != nil:
	case c.position < 0 || c.length < 0:
		err = errRange
	case c.kind == list && !env.IsFolder(c.name),
		c.kind == remove && c.name == "",
		c.kind != list && c.kind != remove && c.kind != syncAll && env.IsFolder(c.name):
		err = env.ErrName
	}
	return explain(err, "use", c.name)
}

func (d *Disk) change(l *lane, calls []*call) error {
	c := calls[0]
	switch c.kind {
	case create:
		return d.create(l, c.position)
	case remove:
		return d.remove(l)
	}
	if err := d.open(l); err != nil {
		return err
	}
	switch c.kind {
	case appendTo:
		return l.write(l.size, merge(calls))
	case writeAt:
		return l.write(c.position, c.data)
	case truncate:
		return l.truncate(c.position)
	}
	panic(fmt.Sprintf("osenv: no such call: %d", c.kind))
}

func merge(calls []*call) []byte {
	if len(calls) == 1 {
		return calls[0].data
	}
	var b bytes.Buffer
	for _, c := range calls {
		b.Write(c.data)
	}
	return b.Bytes()
}

// write writes to the open file; where that fails, what stood before the position
// and the size are as they were, if the disk lets that happen.
func (l *lane) write(position int64, data []byte) error {
	if len(data) == 0 {
		return nil
	}
	_, err := l.file.WriteAt(data, position)
	if err == nil {
		l.size = max(l.size, position+int64(len(data)))
		return nil
	}
	if position+int64(len(data)) > l.size {
		err = errors.Join(err, l.file.Truncate(l.size))
	}
	return explain(err, "write", l.name)
}

func (l *lane) truncate(size int64) error {
	if err := l.file.Truncate(size); err != nil {
		return explain(err, "truncate", l.name)
	}
	l.size = size
	return nil
}

// create makes a file of zeros, or none.
func (d *Disk) create(l *lane, size int64) error {
	if err := d.makeFolder(env.Above(l.name)); err != nil {
		return err
	}
	file, err := d.fs.Open(l.name, true)
	if err != nil {
		return explain(err, "create", l.name)
	}
	if err := d.fill(file, size); err != nil {
		err = errors.Join(err, file.Close(), d.fs.Remove(l.name))
		return explain(err, "create", l.name)
	}
	d.keep(l, file, size)
	return nil
}

// fill writes zeros. Those of a large file go to the device bit by bit: all at
// once they would delay the syncs of other files.
func (d *Disk) fill(file File, size int64) error {
	for position := int64(0); position < size; {
		n := min(size-position, int64(len(zeros)))
		if _, err := file.WriteAt(zeros[:n], position); err != nil {
			return err
		}
		position += n
		if position%fillSync == 0 && position < size {
			d.syncs.Add(1)
			if err := file.Sync(); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeFolder makes a folder and those above it, durably. A folder that is there
// already may have been made by a life that ended before it was synced.
func (d *Disk) makeFolder(name string) error {
	if d.isMade(name) {
		return nil
	}
	d.making.Lock()
	defer d.making.Unlock()
	return d.makeFolders(name)
}

func (d *Disk) makeFolders(name string) error {
	if d.isMade(name) {
		return nil
	}
	above := env.Above(name)
	if err := d.makeFolders(above); err != nil {
		return err
	}
	if err := d.fs.MakeFolder(name); err != nil && !errors.Is(err, fs.ErrExist) {
		return explain(err, "make folder", name)
	}
	d.syncs.Add(1)
	if err := d.fs.SyncFolder(above); err != nil {
		return explain(err, "sync folder", above)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.made[name] = true
	return nil
}

func (d *Disk) isMade(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.made[name]
}

// remove removes a file or folder, and with it what was wrong with it.
func (d *Disk) remove(l *lane) error {
	d.drop(l)
	if env.IsFolder(l.name) {
		d.mu.Lock()
		delete(d.made, l.name)
		d.mu.Unlock()
	}
	if err := d.fs.Remove(l.name); err != nil {
		return explain(err, "remove", l.name)
	}
	l.broken = nil
	return nil
}

// sync answers with the first failed call since the last sync, or with how this
// one went.
func (d *Disk) sync(l *lane, c *call, err error) {
	if err == nil && l.broken == nil {
		err = d.syncNow(l)
	}
	err = cmp.Or(l.failed, l.broken, err)
	l.failed = nil
	d.driver.inbox.answer(func(p env.Process) { p.Synced(c.ticket, err) })
}

func (d *Disk) syncNow(l *lane) error {
	if env.IsFolder(l.name) {
		d.syncs.Add(1)
		return l.synced(d.fs.SyncFolder(l.name))
	}
	if err := d.open(l); err != nil {
		return err
	}
	d.syncs.Add(1)
	return l.synced(l.file.Sync())
}

// synced remembers a failed sync. That there was nothing to sync is no failure.
func (l *lane) synced(err error) error {
	err = explain(err, "sync", l.name)
	if err != nil && !errors.Is(err, env.ErrNotExist) {
		l.broken = err
	}
	return err
}

func (d *Disk) load(l *lane, c *call, err error) {
	var data []byte
	if err == nil {
		err = d.open(l)
	}
	if err == nil && c.position < l.size {
		data = make([]byte, min(int64(c.length), l.size-c.position))
		var n int
		n, err = l.file.ReadAt(data, c.position)
		data = data[:n]
		if errors.Is(err, io.EOF) {
			err = nil
		}
		err = explain(err, "read", l.name)
	}
	if err != nil {
		data = nil
	}
	d.driver.inbox.answer(func(p env.Process) { p.Loaded(c.ticket, data, err) })
}

func (d *Disk) list(c *call, err error) {
	var entries []env.FileInfo
	if err == nil {
		entries, err = d.fs.List(c.name)
		err = explain(err, "list", c.name)
	}
	if errors.Is(err, env.ErrNotExist) {
		entries, err = nil, nil
	}
	slices.SortFunc(entries, func(a, b env.FileInfo) int { return strings.Compare(a.Name, b.Name) })
	d.driver.inbox.answer(func(p env.Process) { p.Listed(c.ticket, entries, err) })
}
