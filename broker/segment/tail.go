package segment

import (
	"sort"

	"github.com/reprise-mq/reprise/broker/api"
)

const (
	// tailBytes bounds the newest frames that are kept in memory: what followers
	// and consumers that keep up ask for.
	tailBytes = 1 << 20
	// tailFrameBytes is what a frame costs there besides its bytes.
	tailFrameBytes = 64
	// Frames are encoded into chunks; each chunk is twice the one before, within
	// these bounds, so that an idle group holds little.
	minChunkBytes = 512
	maxChunkBytes = 64 << 10
)

// tail is the newest frames, in index order without gaps. A frame's data is a part
// of the bytes that went to the disk, so it is held once.
type tail struct {
	frames []Frame
	// size is the sum of cost over the frames, at most tailBytes.
	size int
	// chunk takes the next frame; what it has already is never changed.
	chunk []byte
}

// encode makes the bytes of a frame, and lets the frame's data be a part of them.
func (t *tail) encode(group api.GroupID, fr *Frame) []byte {
	n := fr.bytes()
	if cap(t.chunk)-len(t.chunk) < n {
		size := min(max(2*cap(t.chunk), minChunkBytes), maxChunkBytes)
		t.chunk = make([]byte, 0, max(size, n))
	}
	start := len(t.chunk)
	t.chunk = appendFrame(group, t.chunk, fr)
	b := t.chunk[start:len(t.chunk):len(t.chunk)]
	if len(fr.Data) > 0 {
		fr.Data = b[headerBytes:]
	}
	return b
}

// add takes a frame whose data will not change, and lets the oldest go.
func (t *tail) add(fr Frame) {
	t.frames = append(t.frames, fr)
	t.size += cost(&fr)
	n := 0
	for ; t.size > tailBytes; n++ {
		t.size -= cost(&t.frames[n])
		t.frames[n] = Frame{} // the array outlives the slice's head
	}
	t.frames = t.frames[n:]
}

func cost(fr *Frame) int { return fr.bytes() + tailFrameBytes }

// fromIndex gives the frames from an entry on; nil if it is not here.
func (t *tail) fromIndex(i api.Index) []Frame {
	if len(t.frames) == 0 || i < t.frames[0].Index {
		return nil
	}
	return t.frames[i-t.frames[0].Index:]
}

// fromOffset gives the frames from the one that holds an offset; nil if it is not
// here.
func (t *tail) fromOffset(o api.Offset) []Frame {
	if len(t.frames) == 0 || o < t.frames[0].Base {
		return nil
	}
	n := sort.Search(len(t.frames), func(i int) bool { return t.frames[i].next() > o })
	return t.frames[n:]
}
