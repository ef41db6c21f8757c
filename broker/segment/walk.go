package segment

import (
	"fmt"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/files"
)

const (
	// minLoadBytes and maxLoadBytes bound how much of a file is read at once; a
	// frame longer than that is read whole.
	minLoadBytes = 64 << 10
	maxLoadBytes = 1 << 20
)

// walk reads the entries' frames of one file in order, and checks of each that it
// is the one that must stand there.
type walk struct {
	f     *files.Files
	group api.GroupID
	name  string
	// at is the place of the next frame; end is where the last one ends.
	at  place
	end int64
	// term is that of the frame before, if known: terms never go back.
	term api.Term
	// load is how much to read at once.
	load int
	// visit takes the next frames, whose bytes are raw and begin at a place, and
	// says whether to go on.
	visit func(at place, raw []byte, frames []Frame) bool
	// done is called once: at the end, when visit had enough, or with an error if what
	// stands at w.at is not the frame that must, or cannot be read. That is damage,
	// whatever the error.
	done func(error)
}

// next loads what follows w.at, at least need bytes if the file has them.
func (w *walk) next(need int) {
	length := min(int64(max(need, w.load)), w.end-w.at.position)
	if length == 0 {
		w.done(nil)
		return
	}
	w.f.Load(w.name, w.at.position, int(length), func(data []byte, err error) {
		if err != nil && length > int64(max(need, headerBytes)) {
			// Some of it may be readable: frame by frame, up to what is not.
			w.load = headerBytes
			w.next(need)
			return
		}
		if err != nil {
			w.done(fmt.Errorf("load %s at %d: %w", w.name, w.at.position, err))
			return
		}
		w.loaded(data, length)
	})
}

// loaded hands on the whole frames of what was loaded, and goes on behind them.
func (w *walk) loaded(data []byte, asked int64) {
	start := w.at
	frames, need, err := w.frames(data)
	whole := w.at.position - start.position
	if len(frames) > 0 && !w.visit(start, data[:whole], frames) {
		w.done(nil)
		return
	}
	if err != nil || int64(len(data)) < asked || w.at.position+int64(need) > w.end {
		w.done(ErrFrame)
		return
	}
	w.next(need)
}

// frames takes frames off the data. If the last one goes on behind it, need is how
// long it is, as far as is known.
func (w *walk) frames(data []byte) (frames []Frame, need int, err error) {
	for len(data) > 0 {
		if len(data) < headerBytes {
			return frames, headerBytes, nil
		}
		h, err := decodeHeader(w.group, data)
		if err != nil || !w.fits(&h.frame) {
			return frames, 0, ErrFrame
		}
		if len(data) < h.bytes() {
			return frames, h.bytes(), nil
		}
		fr, err := h.with(data[headerBytes:h.bytes():h.bytes()])
		if err != nil {
			return frames, 0, err
		}
		frames = append(frames, fr)
		data = data[h.bytes():]
		w.at, w.term = w.at.after(&fr), fr.Term
	}
	return frames, 0, nil
}

func (w *walk) fits(fr *Frame) bool {
	return fr.Kind != KindState && fr.Index == w.at.index && fr.Base == w.at.offset && fr.Term >= w.term
}
