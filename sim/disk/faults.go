package disk

import (
	"maps"
	"slices"
)

// faults are what is wrong with a disk beside what a crash does to it.
type faults struct {
	// spoilt are the places, by file and sector, that are not as they were written
	// and have not been written since. Those that are lost cannot be read either.
	spoilt map[spot]bool // value: lost
	// failWrite and failSync are how many of the next writes and syncs of segments or
	// the journal fail.
	failWrite, failSync int
	// failed: some call failed so, in the present life.
	failed bool
	// touched: there ever was any; rotten: what stood on the platter was.
	touched, rotten bool
}

type spot struct {
	file   *file
	sector int64
}

// Flip changes a bit of a file that a sync has covered: both as the process sees it
// and on the platter. It reports whether there is such a bit.
func (d *Disk) Flip(name string, position int64, bit uint) bool {
	return d.spoil(name, position, func(f *file) {
		f.durable[position] ^= 1 << bit
		f.seen[position] ^= 1 << bit
	}, false)
}

// Lose makes the sector at a position of a file unreadable until it is written. It
// reports whether there is such a sector.
func (d *Disk) Lose(name string, position int64) bool {
	return d.spoil(name, position, func(*file) {}, true)
}

func (d *Disk) spoil(name string, position int64, do func(*file), lost bool) bool {
	f := d.files[name]
	if f == nil || position >= int64(len(f.durable)) || position >= int64(len(f.seen)) {
		return false
	}
	at := spot{f, position / sector}
	if at.rewritten() {
		return false // what is there now will go anyhow
	}
	do(f)
	if d.spoilt == nil {
		d.spoilt = make(map[spot]bool)
	}
	d.spoilt[at] = d.spoilt[at] || lost
	d.touched, d.rotten = true, true
	return true
}

// FailWrite makes the next write to a file fail, and FailSync the next sync, which
// then loses the changes that it was to cover.
func (d *Disk) FailWrite() { d.failWrite++ }

// FailSync is described with FailWrite.
func (d *Disk) FailSync() { d.failSync++ }

// Failed reports whether a write or sync of this life failed so.
func (d *Disk) Failed() bool { return d.failed }

// Ill reports whether the disk ever kept something other than it was given, or did
// not keep what was written.
func (d *Disk) Ill() bool { return d.touched || d.refused }

// Rotten reports whether what stood on the platter was ever damaged.
func (d *Disk) Rotten() bool { return d.rotten }

// Spoilt names a file that is not as it was written, and that nobody has written
// again; "" if there is none.
func (d *Disk) Spoilt() string {
	var names []string
	//detvet:allow maporder the names are sorted
	for at := range d.spoilt {
		if d.files[at.file.name] == at.file && !at.rewritten() {
			names = append(names, at.file.name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// Whole reports whether the platter has a file as it was written.
func (d *Disk) Whole(name string) bool {
	f := d.files[name]
	//detvet:allow maporder one is enough, whichever comes first
	for at := range d.spoilt {
		if at.file == f {
			return false
		}
	}
	return true
}

// mended takes note that a change has reached the platter.
func (d *Disk) mended(f *file, c change) {
	if len(d.spoilt) == 0 {
		return
	}
	from, to := c.position/sector, (c.position+int64(len(c.data))-1)/sector
	//detvet:allow maporder what goes does not depend on the order
	maps.DeleteFunc(d.spoilt, func(at spot, _ bool) bool {
		return at.file == f && at.sector >= from && (c.data == nil || at.sector <= to)
	})
}

// unreadable reports whether a range of a file cannot be read. What was written since
// and has not reached the platter can.
func (d *Disk) unreadable(f *file, position int64, length int) bool {
	if len(d.spoilt) == 0 || length == 0 {
		return false
	}
	for s := position / sector; s <= (position+int64(length)-1)/sector; s++ {
		if at := (spot{f, s}); d.spoilt[at] && !at.rewritten() {
			return true
		}
	}
	return false
}

// rewritten reports whether a write has covered a spot that has not reached the
// platter.
func (at spot) rewritten() bool {
	return slices.ContainsFunc(at.file.pending, func(c change) bool {
		return c.data != nil && c.position/sector <= at.sector && (c.position+int64(len(c.data))-1)/sector >= at.sector
	})
}

// brokenWrite takes one of the writes that are to fail, brokenSync one of the syncs of
// a file with something to lose.
func (d *Disk) brokenWrite() bool       { return d.take(&d.failWrite) }
func (d *Disk) brokenSync(f *file) bool { return len(f.pending) > 0 && d.take(&d.failSync) }

// drop loses the changes up to a number: their pages were dirty, and the system gave
// them up.
func (f *file) drop(through uint64) {
	if through > f.settled {
		f.pending = f.pending[through-f.settled:]
		f.settled = through
	}
	f.seen = slices.Clone(f.durable)
	for _, c := range f.pending {
		f.seen = c.apply(f.seen)
	}
}

func (d *Disk) take(left *int) bool {
	if *left == 0 {
		return false
	}
	*left--
	d.failed, d.touched = true, true
	return true
}
