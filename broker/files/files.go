// Package files turns the tickets of an env.Disk into continuations: each call
// that has an answer takes the function to run when it comes.
//
// It owns the ticket numbers of one process. It never retries, caches or
// interprets data.
package files

import "github.com/reprise-mq/reprise/broker/env"

// Files is a Disk whose answers find their way back to whoever asked.
type Files struct {
	disk env.Disk
	last env.Ticket
	// Each waiting ticket is in exactly one of the three.
	syncs map[env.Ticket]func(error)
	loads map[env.Ticket]func([]byte, error)
	lists map[env.Ticket]func([]env.FileInfo, error)
}

// New wraps a disk that nobody else uses.
func New(disk env.Disk) *Files {
	return &Files{
		disk:  disk,
		syncs: make(map[env.Ticket]func(error)),
		loads: make(map[env.Ticket]func([]byte, error)),
		lists: make(map[env.Ticket]func([]env.FileInfo, error)),
	}
}

// Create makes a file of size zero bytes; see env.Disk.
func (f *Files) Create(name string, size int64) { f.disk.Create(name, size) }

// Append writes at the end of a file; see env.Disk.
func (f *Files) Append(name string, data []byte) { f.disk.Append(name, data) }

// WriteAt writes at a position of a file; see env.Disk.
func (f *Files) WriteAt(name string, position int64, data []byte) {
	f.disk.WriteAt(name, position, data)
}

// Truncate sets a file's size; see env.Disk.
func (f *Files) Truncate(name string, size int64) { f.disk.Truncate(name, size) }

// Remove removes a file or an empty folder; see env.Disk.
func (f *Files) Remove(name string) { f.disk.Remove(name) }

// Sync makes a file or folder durable, then calls done; see env.Disk.
func (f *Files) Sync(name string, done func(error)) {
	t := f.ticket()
	f.syncs[t] = done
	f.disk.Sync(t, name)
}

// Load reads a range of a file, then calls done; see env.Disk.
func (f *Files) Load(name string, position int64, length int, done func([]byte, error)) {
	t := f.ticket()
	f.loads[t] = done
	f.disk.Load(t, name, position, length)
}

// List lists a folder, then calls done; see env.Disk.
func (f *Files) List(folder string, done func([]env.FileInfo, error)) {
	t := f.ticket()
	f.lists[t] = done
	f.disk.List(t, folder)
}

// Synced passes on an answer of the disk.
func (f *Files) Synced(t env.Ticket, err error) { take(f.syncs, t)(err) }

// Loaded passes on an answer of the disk.
func (f *Files) Loaded(t env.Ticket, data []byte, err error) { take(f.loads, t)(data, err) }

// Listed passes on an answer of the disk.
func (f *Files) Listed(t env.Ticket, entries []env.FileInfo, err error) {
	take(f.lists, t)(entries, err)
}

func (f *Files) ticket() env.Ticket {
	f.last++
	return f.last
}

func take[F any](waiting map[env.Ticket]F, t env.Ticket) F {
	done, ok := waiting[t]
	if !ok {
		panic("files: answer for a ticket that nobody holds")
	}
	delete(waiting, t)
	return done
}
