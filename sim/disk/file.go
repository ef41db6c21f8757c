package disk

import (
	"fmt"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// file is one file over its life, under its one name.
type file struct {
	lane
	name   string
	number uint64
	// seen is what the process reads; durable is what a sync has covered. Seen is
	// durable with every pending change applied.
	seen    []byte
	durable []byte
	pending []change
	settled uint64 // changes that are durable; pending[0] is the next
}

// change is a write, or where data is nil a truncation to position bytes.
type change struct {
	position int64
	data     []byte
	sum      uint32 // of data at the call, to see it changed afterwards
}

// numbered is the number of changes called so far.
func (f *file) numbered() uint64 { return f.settled + uint64(len(f.pending)) }

// call makes a change visible.
func (f *file) call(c change) {
	c.sum = crc32.Checksum(c.data, castagnoli)
	f.pending = append(f.pending, c)
	f.seen = c.apply(f.seen)
}

// settle makes the changes up to a number durable and gives them back.
func (f *file) settle(through uint64) []change {
	if through <= f.settled {
		return nil
	}
	n := through - f.settled
	done := f.pending[:n:n]
	for _, c := range done {
		if crc32.Checksum(c.data, castagnoli) != c.sum {
			panic(fmt.Sprintf("disk: data of a write to %s at %d was changed after the call", f.name, c.position))
		}
		f.durable = c.apply(f.durable)
	}
	f.pending = f.pending[n:]
	f.settled = through
	return done
}

// apply gives the image with the change made, in place where there is room.
func (c change) apply(image []byte) []byte {
	if c.data == nil {
		return resize(image, c.position)
	}
	if end := c.position + int64(len(c.data)); end > int64(len(image)) {
		image = resize(image, end)
	}
	copy(image[c.position:], c.data)
	return image
}

// resize cuts an image, or extends it with zeros.
func resize(image []byte, size int64) []byte {
	old := int64(len(image))
	if size <= old {
		return image[:size]
	}
	if size <= int64(cap(image)) {
		image = image[:size]
		clear(image[old:])
		return image
	}
	return append(image, make([]byte, size-old)...)
}

// folder is the names directly in one folder.
type folder struct {
	lane
	name string
	// durable holds the files whose names are sure to survive, folders the
	// folders; the names a process sees are the disk's.
	durable map[string]*file
	folders map[string]*folder
	pending []rename
	settled uint64
}

// rename gives a name to a file or a folder, or where both are nil takes it away.
type rename struct {
	name   string
	file   *file
	folder *folder
}

func newFolder(name string) *folder {
	return &folder{name: name, durable: make(map[string]*file), folders: make(map[string]*folder)}
}

func (f *folder) numbered() uint64 { return f.settled + uint64(len(f.pending)) }

// settle makes the renames up to a number durable.
func (f *folder) settle(through uint64) {
	for f.settled < through {
		f.apply(f.pending[0])
		f.pending = f.pending[1:]
		f.settled++
	}
}

func (f *folder) apply(r rename) {
	delete(f.durable, r.name)
	delete(f.folders, r.name)
	if r.file != nil {
		f.durable[r.name] = r.file
	}
	if r.folder != nil {
		f.folders[r.name] = r.folder
	}
}
