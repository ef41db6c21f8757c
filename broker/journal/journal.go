package journal

import (
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/files"
	"github.com/reprise-mq/reprise/broker/trace"
)

// Options of a journal.
type Options struct {
	// Folder of its files; ends with a slash. Nothing else may stand there.
	Folder string
	// Must: there was a journal, so if there is none, or an empty one, it is lost.
	Must bool
	// FileBytes is the size of a file, a multiple of 512. Only a batch that is
	// larger makes its file larger.
	FileBytes int64
	// Files is how many files there may be, at least minFiles. All of them should
	// hold a few times what the groups keep in entries at once.
	Files int
	// Room reports whether the disk has so many bytes for one file more. Until it
	// has, the journal makes do with the files there are.
	Room func(bytes int64) bool
	// Salt draws a random number.
	Salt func() uint64
	// Fail is told, once, of a write or sync that failed. The node must stop: no
	// promise can be kept any more.
	Fail func(error)
	// Trace hears of rare paths.
	Trace trace.Sink
}

// Journal is the write-ahead log of a node.
type Journal struct {
	disk   *files.Files
	opts   Options
	images map[api.GroupID]*Image

	// The batch that gathers: room for a header, then records; whether more than
	// commit indexes is in them; who waits for it; the images that begin in it.
	plain     []byte
	promising bool
	waiting   []func()
	begun     []*Image
	// idle counts the calls of Flush that left something undone for which nobody
	// waits.
	idle int
	// unattested: the last batch written holds updates, so a mark is due that
	// says it was synced.
	unattested bool

	// The batch in flight, if there is one, or the last: its sectors, who waits, and its
	// header.
	flying bool
	out    []byte
	flown  []func()
	header Header

	salt, start  uint64
	next, synced uint64 // numbers of batches
	slots
}

const (
	// minFiles lets one file be written while one holds what is older and one
	// stands ready.
	minFiles = 3
	// patience is how many calls of Flush that have nothing urgent to do pass
	// before what nobody waits for is written all the same.
	patience = 16
	// idleBytes of records are written though nobody waits for them.
	idleBytes = 256 << 10
	// keptBuffer is the largest buffer that is kept for the next batch.
	keptBuffer = 8 << 20
)

// Append adds an update to the batch that gathers and to the group's image. It
// calls done when everything appended so far is synced; a nil done says that
// nobody waits, and then the update may stay unwritten for a while. A commit index
// alone is no promise: nobody need wait for it, and if all else is synced done is
// called at once. The entries must not be changed afterwards.
func (j *Journal) Append(u Update, done func()) {
	if j.record(&u) {
		j.promising = true
	}
	switch {
	case done == nil:
	case j.promising:
		j.waiting = append(j.waiting, done)
	case j.flying:
		j.flown = append(j.flown, done)
	default:
		done()
	}
}

// record adds an update to the batch and to the image, and says whether somebody
// may rely on it.
func (j *Journal) record(u *Update) (promise bool) {
	i := j.images[u.Group]
	if u.fields() == 0 || i == nil && u.Forget {
		return false
	}
	if i == nil {
		i, u.anew = &Image{Group: u.Group}, true
		j.images[u.Group] = i
		j.begun = append(j.begun, i)
	}
	if err := i.check(u); err != nil {
		panic(fmt.Sprintf("journal: group %d: %v: %s", u.Group, err, i.against(u)))
	}
	promise = i.promise(u)
	j.plain = u.append(j.plain)
	before := i.bytes
	i.apply(u)
	if i.home != nil {
		i.home.bytes += i.bytes - before
	}
	if u.Checkpoint != nil {
		i.relieved = j.rolls
	}
	if u.Forget {
		i.leave()
		delete(j.images, u.Group)
	}
	return promise
}

// Flush writes and syncs what gathered, unless a batch is in flight; the node
// calls it after every burst of events. What nobody waits for, and the mark that
// the last batch is synced, wait for company through a number of calls.
func (j *Journal) Flush() {
	if j.flying || !j.due() {
		return
	}
	if j.full(sectors(len(j.plain))) {
		j.roll()
	}
	j.write()
}

func (j *Journal) due() bool {
	records := len(j.plain) - headerBytes
	if len(j.waiting) > 0 || records >= idleBytes {
		return true
	}
	if records == 0 && !j.unattested {
		return false
	}
	j.idle++
	return j.idle >= patience
}

// write sends the batch that gathered on its way.
func (j *Journal) write() {
	f := j.live[len(j.live)-1]
	for _, i := range j.begun {
		if j.images[i.Group] == i {
			i.enter(f)
		}
	}
	j.begun = j.begun[:0]
	j.header = Header{
		Number: j.next, Salt: j.salt, Start: j.start, Synced: j.synced, Oldest: j.stillNeeded(),
		Size: uint64(max(f.slot.size, j.position+sectors(len(j.plain))+sector)), // with room for a witness
	}
	j.out = seal(j.out[:0], j.plain, j.header)
	j.unattested = len(j.plain) > headerBytes
	j.plain = blank(j.plain)
	j.waiting, j.flown = j.flown[:0], j.waiting
	j.promising, j.idle = false, 0
	f.last = j.next
	j.next++
	j.flying = true
	j.put(j.out, j.landed)
}

// landed ends the flight of a batch. One that failed stays in flight for ever, so
// that nothing else is written and nobody is told.
func (j *Journal) landed(err error) {
	if err != nil {
		j.opts.Fail(fmt.Errorf("journal: write %s: %w", j.live[len(j.live)-1].slot.name, err))
		return
	}
	j.synced = j.next - 1
	j.attest()
	j.release(j.header.Oldest)
	if cap(j.out) > keptBuffer {
		j.out = nil
	}
	// What they call may append, and even flush.
	landed := j.flown
	j.flown, j.flying = nil, false
	for _, done := range landed {
		done()
	}
	if j.flown == nil {
		clear(landed)
		j.flown = landed[:0]
	}
}

// Groups lists the groups that have an image, sorted.
func (j *Journal) Groups() []api.GroupID { return slices.Sorted(maps.Keys(j.images)) }

// Image is the image of a group, nil if there is none. It stays the group's own,
// and changes with every Append, until the group is forgotten.
func (j *Journal) Image(g api.GroupID) *Image { return j.images[g] }

// Idle says that no batch is in flight and nobody waits for one.
func (j *Journal) Idle() bool { return !j.flying && len(j.waiting) == 0 }

// Oldest gives the number of the oldest batch that is not known to be synced, and
// whether anybody waits for it. A number that stays for long means a stalled disk.
func (j *Journal) Oldest() (batch uint64, awaited bool) {
	return j.synced + 1, j.flying || len(j.waiting) > 0
}

// blank gives an empty batch in the same memory, unless that has grown too large.
func blank(plain []byte) []byte {
	if cap(plain) > keptBuffer {
		plain = nil
	}
	return append(plain[:0], zeros[:headerBytes]...)
}
