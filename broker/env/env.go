// Package env is the seam between a node and the world: three interfaces that a
// process acts through, and one through which the world answers.
//
// A process (a broker node, a client) is a state machine. It has no goroutine,
// lock or clock of its own: a driver calls one method of Process at a time, and
// after a burst of events calls Flush once. The real world (broker/osenv,
// broker/rpc) and the simulated one (sim) implement the same three interfaces
// and pass the same conformance suite, envtest.
//
// Package env never holds an implementation.
package env

import (
	"errors"

	"github.com/reprise-mq/reprise/broker/api"
)

// Time is a monotonic reading in nanoseconds since an origin of the world's
// choosing. It never goes back while a process lives; readings of two
// processes, or of two lives of one, do not compare.
type Time int64

// Units of Time.
const (
	Microsecond Time = 1_000
	Millisecond Time = 1_000 * Microsecond
	Second      Time = 1_000 * Millisecond
)

// Clock tells the time and wakes the process.
type Clock interface {
	// Now is the monotonic time.
	Now() Time
	// Wall is the time of day in milliseconds since the Unix epoch. It may jump
	// either way.
	Wall() int64
	// WakeAt asks for one call of Process.Wake at or soon after t. A later call
	// replaces an earlier one that has not fired.
	WakeAt(t Time)
}

// Ticket matches a call of Disk with its answer. The process chooses it and
// never uses one twice in a life.
type Ticket uint64

// FileInfo is one entry of a folder.
type FileInfo struct {
	// Name is the path from the root of the disk. A folder's ends with a slash.
	Name string
	// Size in bytes; 0 for a folder.
	Size int64
}

// Disk is a tree of files that belongs to one process. Names are relative,
// slash-separated, of the characters a-z, 0-9, '-', '_' and '.'; a folder's name
// ends with a slash, and the root folder is "". CheckFile and CheckFolder say so; a
// call with another name fails with ErrName.
//
// Calls return at once and are carried out in call order per file. A failed call
// is reported by the file's next Synced; a Load or List sees every earlier call.
// Data handed to a call must not be changed before a Sync that covers it is
// answered; data handed back belongs to the process. After a crash only what an
// answered Sync covered is certain: other writes may be there whole, in part (by
// sectors of 512 bytes), or not at all, and likewise for names in a folder.
type Disk interface {
	// Create makes a new file of size zero bytes (all of them zero), and the
	// folders above it. It fails with ErrExist if the file is there.
	Create(name string, size int64)
	// Append writes at the end of the file.
	Append(name string, data []byte)
	// WriteAt writes at a position, which may be beyond the end.
	WriteAt(name string, position int64, data []byte)
	// Truncate cuts the file to size, or extends it with zeros.
	Truncate(name string, size int64)
	// Remove removes a file, or an empty folder.
	Remove(name string)
	// Sync makes durable every earlier call on the file (its contents and size),
	// or, for a folder, every earlier creation and removal of a name directly in
	// it. The folders above are synced when they are made. It fails with
	// ErrNotExist where nothing of that name is there. Answer: Synced.
	Sync(ticket Ticket, name string)
	// Load reads length bytes from a position; fewer come back where the file
	// ends earlier. Answer: Loaded.
	Load(ticket Ticket, name string, position int64, length int)
	// List names what stands directly in a folder, sorted by name. A folder that
	// is not there lists as empty. Answer: Listed.
	List(ticket Ticket, folder string)
	// Free is how many bytes files can still grow by, as of a moment ago. Others may
	// use the disk too: it promises nothing.
	Free() int64
}

// Errors of a Disk. Any other error is an I/O error.
var (
	// ErrNotExist: the file is not there.
	ErrNotExist = errors.New("file does not exist")
	// ErrExist: Create found the file already there.
	ErrExist = errors.New("file exists already")
	// ErrNoSpace: the disk is full. What was written before is intact.
	ErrNoSpace = errors.New("no space left on the disk")
	// ErrIO: the device failed; nothing is known of unsynced calls on the file.
	ErrIO = errors.New("input/output error")
)

// Endpoint names the other end of a link: the advertised HOST:PORT of a node, or
// a name that the world made up for a client's connection.
type Endpoint string

// Network carries messages of the vocabulary.
type Network interface {
	// Send hands a message to the link. It may be lost, and between nodes also
	// duplicated and reordered; a client's link delivers in order or breaks. The
	// message is encoded before Send returns and may then be reused.
	Send(to Endpoint, message *api.Message)
}

// Process is what a driver drives. No two methods run at the same time.
type Process interface {
	// Wake says that the time asked for with WakeAt has come.
	Wake()
	// Synced answers Disk.Sync: nil, or the first error of the calls it covers.
	// After an error nothing is known of the file's unsynced contents.
	Synced(ticket Ticket, err error)
	// Loaded answers Disk.Load.
	Loaded(ticket Ticket, data []byte, err error)
	// Listed answers Disk.List.
	Listed(ticket Ticket, entries []FileInfo, err error)
	// Receive brings a message. The process owns it.
	Receive(from Endpoint, message *api.Message)
	// Lost says that the link to an endpoint broke: what was sent there and not
	// answered may or may not arrive.
	Lost(peer Endpoint)
	// Flush ends a burst of events: the process now does what it gathered.
	Flush()
}
