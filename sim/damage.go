package sim

import (
	"slices"
	"strings"

	"github.com/reprise-mq/reprise/broker/journal"
	"github.com/reprise-mq/reprise/histories"
	"github.com/reprise-mq/reprise/sim/disk"
	"github.com/reprise-mq/reprise/sim/plan"
	"github.com/reprise-mq/reprise/sim/prng"
)

// rot changes bits, or makes sectors unreadable, in segments of a node that a sync has
// covered: of that node and no other, and also while it is down. So few nodes may have
// damage that the others are always a majority; a plan that was edited, or shrunk, may
// ask for more.
func (r *run) rot(f *plan.Fault) bool {
	if f.Target.Node > len(r.nodes) || !r.mayRot(r.nodes[f.Target.Node-1]) {
		return false
	}
	n, number := r.nodes[f.Target.Node-1], uint64(f.Number)
	if r.plan.Unrestricted {
		number = uint64(f.At) // the same place on every node
	}
	d := n.host.Disk
	segments := segmentsOn(d)
	hit := false
	for i := range f.Strength {
		if len(segments) == 0 {
			break
		}
		draw := func(purpose uint64, below int64) int64 {
			return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("rot"), number, uint64(i), purpose), below)
		}
		name := segments[draw(drawTarget, int64(len(segments)))]
		size := int64(len(d.Platter(name)))
		if size == 0 {
			continue
		}
		at := draw(drawReplica, size)
		if f.Kind == plan.BitFlip && d.Flip(name, at, uint(draw(drawPeer, 8))) || f.Kind == plan.BadSector && d.Lose(name, at) {
			hit = true
			r.tell(string(n.host.Name), "%s at byte %d of %s", f.Kind, at, name)
		}
	}
	if hit {
		r.noteFault(f, string(n.host.Name), histories.Point)
	}
	return hit
}

// segmentsOn are the segment files on a disk.
func segmentsOn(d *disk.Disk) []string {
	return slices.DeleteFunc(d.Names(), func(name string) bool { return !strings.HasSuffix(name, ".seg") })
}

// loseSegments kills a node, and takes segments away or cuts them short while it is down.
func (r *run) loseSegments(a *armed) bool {
	f, n := a.fault, a.node
	if n == nil || !n.host.Up() || n.rotten || !r.mayRot(n) {
		return false
	}
	n.kill()
	r.noteFault(f, string(n.host.Name), histories.Begin)
	r.later(a, n.boot)
	d, hit := n.host.Disk, false
	for i := range f.Strength {
		segments := segmentsOn(d)
		if len(segments) == 0 {
			break
		}
		draw := func(purpose uint64, below int64) int64 {
			return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("lost segment"), uint64(f.Number), uint64(i), purpose), below)
		}
		name := segments[draw(drawTarget, int64(len(segments)))]
		if left := draw(drawReplica, 2*int64(len(d.Platter(name)))+1); left < int64(len(d.Platter(name))) {
			hit = d.Cut(name, left) || hit
			r.tell(string(n.host.Name), "%s is cut short to %d bytes", name, left)
		} else {
			hit = d.Take(name) || hit
			r.tell(string(n.host.Name), "%s is not there any more", name)
		}
	}
	return hit
}

// mayRot reports whether a node may have damage, given those that have: of the replicas of
// a partition a majority must be whole. One that is whole may not know yet of the last
// entries that they are committed, and alone it cannot find out.
func (r *run) mayRot(n *node) bool {
	if r.plan.Unrestricted {
		return true
	}
	rotten := 0
	for _, other := range r.nodes {
		if other != n && !other.replaced() && (other.gone || other.rotten || other.host.Disk.Rotten()) {
			rotten++
		}
	}
	return rotten+1 <= (min(r.plan.Nodes, replicas)-1)/2
}

// journalFolder is where a node's journal stands.
const journalFolder = "journal/"

// rotJournal flips a bit of a node's journal in a batch that is still needed and that a
// later one says was synced: what was lost of the end nobody could tell from what was never
// written. The node must not serve on what is left.
func (r *run) rotJournal(n *node, f *plan.Fault) bool {
	var synced, oldest uint64
	batches := journalBatches(n.host.Disk, (*disk.Disk).Platter)
	for _, b := range batches {
		synced = max(synced, b.Synced)
	}
	for _, b := range journalBatches(n.host.Disk, (*disk.Disk).Contents) {
		oldest = max(oldest, b.Oldest)
	}
	needed := slices.DeleteFunc(batches, func(b batchPlace) bool { return b.Number > synced || b.Number < oldest })
	if len(needed) == 0 {
		return false
	}
	draw := func(purpose uint64, below int64) int64 {
		return prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("rot"), uint64(f.Number), purpose), below)
	}
	r.oracle.Lost(n.host.Name)
	b := needed[draw(drawTarget, int64(len(needed)))]
	for try := range uint64(rotTries) {
		at := prng.Scale(prng.Hash(r.plan.Seed, prng.HashString("rotten byte"), uint64(f.Number), try), b.size)
		n.host.Disk.Flip(b.name, b.from+at, uint(draw(drawPeer, 8)))
		if _, _, err := journal.DecodeBatch(n.host.Disk.Contents(b.name)[b.from:]); err != nil {
			n.rotten = true
			r.tell(string(n.host.Name), "a bit of batch %d of its journal has changed", b.Number)
			return true
		}
	}
	return false
}

// loseJournal takes a node's journal away, or only its newest file, if something was promised
// there. Either way nothing of what is left may be trusted.
func (r *run) loseJournal(n *node, f *plan.Fault) {
	n.rotten = true
	r.oracle.Lost(n.host.Name)
	d := n.host.Disk
	if f.Strength == newestOnly {
		if name := newestJournal(d); name != "" {
			d.Unlink(name)
			r.tell(string(n.host.Name), "%s of its journal is gone", name)
			return
		}
	}
	d.Empty(journalFolder)
	r.tell(string(n.host.Name), "its journal is gone")
}

// newestOnly is the strength at which only one file of a journal is lost.
const newestOnly = 2

// newestJournal is the file with the last batches, "" if none of them is known to be synced.
func newestJournal(d *disk.Disk) string {
	first, last := map[string]uint64{}, batchPlace{}
	for _, b := range journalBatches(d, (*disk.Disk).Contents) {
		if b.from == 0 {
			first[b.name] = b.Number
		}
		if b.Number > last.Number {
			last = b
		}
	}
	if last.Synced < first[last.name] {
		return ""
	}
	return last.name
}

// rotTries: most of a small batch is the rest of its last sector, where nothing matters.
const rotTries = 32

// batchPlace is where a batch of a journal stands.
type batchPlace struct {
	journal.Header
	name       string
	from, size int64
}

// journalBatches are the batches of a node's journal that stand on its disk, without those
// that a newer run of the journal has made void.
func journalBatches(d *disk.Disk, contents func(*disk.Disk, string) []byte) []batchPlace {
	var batches []batchPlace
	starts := map[uint64]uint64{} // by salt
	for _, name := range d.Names() {
		if !strings.HasPrefix(name, journalFolder) {
			continue
		}
		all := contents(d, name)
		for data := all; len(data) > 0; {
			b, rest, err := journal.DecodeBatch(data)
			if err != nil {
				break
			}
			batches = append(batches, batchPlace{b.Header, name, int64(len(all) - len(data)), int64(len(data) - len(rest))})
			starts[b.Salt] = b.Start
			data = rest
		}
	}
	return slices.DeleteFunc(batches, func(b batchPlace) bool {
		//detvet:allow maporder one is enough, whichever comes first
		for salt, start := range starts {
			if salt > b.Salt && b.Number >= start {
				return true
			}
		}
		return false
	})
}
