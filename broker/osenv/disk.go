package osenv

import (
	"math"
	"sync"
	"sync/atomic"

	"github.com/reprise-mq/reprise/broker/env"
)

// Disk carries out the calls of one process on an FS. The calls on one file run
// in order, one at a time; files do not wait for each other, but for these:
//
//   - the sync of a folder waits for earlier creations and removals below it;
//   - List and the removal of a folder wait for every earlier call below the
//     folder, and later calls there wait for them.
//
// Each top folder has workers of its own. So what a node does to its segments
// never holds up its journal but through the device itself.
//
// After a sync has failed, nobody knows which writes it lost, and the operating
// system may say nothing more about them. So every later sync of that file fails
// too, in this life of the process, until the file is removed.
//
// A call for which no more files can be opened waits until they can; see patient.
type Disk struct {
	fs      *patient
	driver  *Driver
	syncs   atomic.Uint64
	workers sync.WaitGroup
	making  sync.Mutex // held while folders are made
	free    atomic.Int64
	// poolFiles is how many files of one top folder stay open.
	poolFiles int
	// measuring: somebody asks the file system how much is free.
	measuring atomic.Bool

	mu       sync.Mutex
	closed   bool
	lanes    map[string]*lane // with calls, an open file or an error to remember
	pools    map[string]*pool // by top folder; "" is for the files beside those
	barriers []*call          // the calls waited for by all later ones below them
	made     map[string]bool  // folders that exist, durably
}

var _ env.Disk = (*Disk)(nil)

// NewDisk makes the disk of the process that the driver will run.
func NewDisk(fs FS, d *Driver) *Disk {
	disk := &Disk{
		fs:        &patient{FS: fs, done: make(chan struct{}), short: func(error) {}},
		driver:    d,
		poolFiles: poolFilesOf(fileLimit()),
		lanes:     make(map[string]*lane),
		pools:     make(map[string]*pool),
		made:      map[string]bool{"": true},
	}
	disk.measure()
	return disk
}

// TellShortage has tell called when a call has to wait for the first time since no more
// files can be opened, from any goroutine. It is for use before the disk is.
func (d *Disk) TellShortage(tell func(error)) { d.fs.short = tell }

// Close waits for the calls under way, drops those that have not begun, and
// closes every file. Nothing is synced. Stop the driver before.
func (d *Disk) Close() {
	d.mu.Lock()
	if !d.closed {
		d.closed = true
		close(d.fs.done)
	}
	d.mu.Unlock()
	d.workers.Wait()
	for _, l := range d.lanes {
		if l.file != nil {
			l.file.Close()
		}
	}
	clear(d.lanes)
}

// Syncs is the number of syncs of files and folders that the device was asked
// for. It may be called by anyone.
func (d *Disk) Syncs() uint64 { return d.syncs.Load() }

// Create makes a file; see env.Disk. The zeros are written, not only reserved, so
// that later syncs of the file need not change its metadata.
func (d *Disk) Create(name string, size int64) {
	d.enter(&call{kind: create, name: name, position: size})
}

// Append writes at the end of a file; see env.Disk.
func (d *Disk) Append(name string, data []byte) {
	d.enter(&call{kind: appendTo, name: name, data: data})
}

// WriteAt writes at a position of a file; see env.Disk.
func (d *Disk) WriteAt(name string, position int64, data []byte) {
	d.enter(&call{kind: writeAt, name: name, position: position, data: data})
}

// Truncate sets a file's size; see env.Disk.
func (d *Disk) Truncate(name string, size int64) {
	d.enter(&call{kind: truncate, name: name, position: size})
}

// Remove removes a file or an empty folder; see env.Disk.
func (d *Disk) Remove(name string) {
	d.enter(&call{kind: remove, name: name})
}

// Sync makes a file or folder durable; see env.Disk.
func (d *Disk) Sync(ticket env.Ticket, name string) {
	d.enter(&call{kind: syncAll, name: name, ticket: ticket})
}

// Load reads a range of a file; see env.Disk.
func (d *Disk) Load(ticket env.Ticket, name string, position int64, length int) {
	d.enter(&call{kind: load, name: name, ticket: ticket, position: position, length: length})
}

// List lists a folder; see env.Disk.
func (d *Disk) List(ticket env.Ticket, folder string) {
	d.enter(&call{kind: list, name: folder, ticket: ticket})
}

// Free is what was free when it was asked last; see env.Disk. The file system is
// asked beside, since that may take its time.
func (d *Disk) Free() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && d.measuring.CompareAndSwap(false, true) {
		d.workers.Go(func() {
			d.measure()
			d.measuring.Store(false)
		})
	}
	return d.free.Load()
}

// measure asks the file system. One that cannot say is taken to have room: its
// writes will tell.
func (d *Disk) measure() {
	free, err := d.fs.Free()
	if err != nil {
		free = math.MaxInt64
	}
	d.free.Store(free)
}
