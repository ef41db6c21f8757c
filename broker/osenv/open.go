package osenv

import (
	"math"
	"syscall"
)

// poolFiles is how many files of one top folder stay open, where the process may have
// many more; each worker may have one more in hand.
const poolFiles = 256

// poolFilesOf is how many files of one top folder stay open where the process may have so
// many. Two folders have half of them, and leave the rest to connections.
func poolFilesOf(limit int) int { return min(poolFiles, limit/4) }

// fileLimit is how many files and connections this process may have open; the Go runtime
// has raised it as far as it is allowed to.
func fileLimit() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return math.MaxInt32 // opening will tell
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}

// SpareFiles is how many files and connections this process can have open beside those of
// a Disk with so many top folders.
func SpareFiles(folders int) int {
	limit := fileLimit()
	return limit - folders*(poolFilesOf(limit)+poolWorkers)
}

// open opens the lane's file, if it is not open.
func (d *Disk) open(l *lane) error {
	if l.file != nil {
		d.touch(l)
		return nil
	}
	file, err := d.fs.Open(l.name, false)
	if err != nil {
		return explain(err, "open", l.name)
	}
	size, err := file.Size()
	if err != nil {
		file.Close()
		return explain(err, "open", l.name)
	}
	d.keep(l, file, size)
	return nil
}

func (d *Disk) touch(l *lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.pool.open.MoveToBack(l.place)
}

// keep holds an open file.
func (d *Disk) keep(l *lane, file File, size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l.file, l.size = file, size
	l.place = l.pool.open.PushBack(l)
}

// trim closes a file if too many are open: of those that nobody waits for, the one
// used longest ago, or else the worker's own.
func (d *Disk) trim(own *lane) {
	d.mu.Lock()
	l := d.surplus(own)
	if l != nil {
		l.owned = true
	}
	d.mu.Unlock()
	if l == nil {
		return
	}
	d.evict(l)
	if l == own {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	l.owned = false
	d.schedule(l)
	d.forget(l)
}

func (d *Disk) surplus(own *lane) *lane {
	open := &own.pool.open
	if own.file == nil || open.Len() <= d.poolFiles {
		return nil
	}
	for e := open.Front(); e != nil; e = e.Next() {
		if l := e.Value.(*lane); !l.owned {
			return l
		}
	}
	return own
}

// evict closes a file. It is synced before: an error found while the operating
// system writes it back would have no open file to be reported to.
func (d *Disk) evict(l *lane) {
	if l.broken == nil {
		d.syncs.Add(1)
		// The lane remembers a failure, and its next sync tells.
		_ = l.synced(l.file.Sync())
	}
	d.drop(l)
}

// drop closes the lane's file, if it is open. What was written stays written, so
// an error here says nothing that a sync would not.
func (d *Disk) drop(l *lane) {
	if l.file == nil {
		return
	}
	l.file.Close()
	l.file = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	l.pool.open.Remove(l.place)
}
