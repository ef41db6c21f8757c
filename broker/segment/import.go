package segment

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/codec"
	"github.com/reprise-mq/reprise/broker/files"
)

// EncodeManifest makes the bytes of a manifest:
//
//	uvarint  number of files
//	  uvarint segment  less that of the file before
//	  uvarint length   in bytes
func EncodeManifest(m []File) []byte {
	b := codec.AppendUvarint(nil, uint64(len(m)))
	last := api.Index(0)
	for _, file := range m {
		b = codec.AppendUvarint(b, uint64(file.Segment-last))
		b = codec.AppendUvarint(b, uint64(file.Length))
		last = file.Segment
	}
	return b
}

// DecodeManifest is the reverse of EncodeManifest; codec.ErrMalformed if the bytes
// are no manifest of at least one file, ascending, of a sensible length.
func DecodeManifest(b []byte) ([]File, error) {
	r := codec.NewReader(b)
	n := r.Count(2)
	m := make([]File, 0, n)
	last, total := uint64(0), uint64(0)
	for range n {
		step, length := r.Uvarint(), r.Uvarint()
		if step == 0 || step > math.MaxUint64-last || length < headerBytes || length > math.MaxInt64-total {
			return nil, codec.ErrMalformed
		}
		last += step
		total += length
		m = append(m, File{api.Index(last), int64(length)})
	}
	if err := r.Close(); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, codec.ErrMalformed
	}
	return m, nil
}

// Import copies a log from peers into a folder of its own. The bytes may come from
// several peers, since all have the same.
type Import struct {
	log      Log
	f        *files.Files
	folder   string
	manifest []File
	// at is the file being copied, of which position bytes are written.
	at       int
	position int64
}

// NewImport starts a copy into a folder that has no segments.
func NewImport(log Log, manifest []File) *Import {
	i := &Import{log: log, f: log.Files, folder: log.Folder, manifest: manifest}
	i.create()
	return i
}

// Next says what to ask a peer for: the first bytes not yet written, at most max.
// It says the same until they are written; false when there is nothing left.
func (i *Import) Next(max int) (segment api.Index, position int64, length int, ok bool) {
	if i.at == len(i.manifest) {
		return 0, 0, 0, false
	}
	file := i.manifest[i.at]
	return file.Segment, i.position, int(min(file.Length-i.position, int64(max), MaxCopyBytes)), true
}

// Progress says how many bytes of how many are written. It grows by what Write takes, and
// never shrinks.
func (i *Import) Progress() (done, of int64) {
	for n, file := range i.manifest {
		of += file.Length
		if n < i.at {
			done += file.Length
		}
	}
	return done + i.position, of
}

// Write takes bytes of a segment. Those that are not what Next asks for are
// ignored, as an answer may come twice; so are those beyond the manifest's length.
func (i *Import) Write(segment api.Index, position int64, data []byte) {
	if i.at == len(i.manifest) || segment != i.manifest[i.at].Segment || position != i.position || len(data) == 0 {
		return
	}
	file := i.manifest[i.at]
	data = data[:min(int64(len(data)), file.Length-position)]
	i.f.Append(fileName(i.folder, segment), data)
	i.position += int64(len(data))
	if i.position == file.Length {
		i.at, i.position = i.at+1, 0
		i.create()
	}
}

// Continue has the copy go on by another manifest, of the same log as another peer has it:
// longer or shorter at its end. It reports whether that can be; if not, what is written is
// of no use for it, or all of it is written by now, and nothing has changed.
func (i *Import) Continue(manifest []File) bool {
	if i.at == len(i.manifest) || i.at >= len(manifest) || !slices.Equal(i.manifest[:i.at], manifest[:i.at]) {
		return false
	}
	if file := manifest[i.at]; file.Segment != i.manifest[i.at].Segment || file.Length < i.position {
		return false
	}
	i.manifest = manifest
	if i.position == manifest[i.at].Length {
		i.at, i.position = i.at+1, 0
		i.create()
	}
	return true
}

func (i *Import) create() {
	if i.at < len(i.manifest) {
		i.f.Create(fileName(i.folder, i.manifest[i.at].Segment), 0)
	}
}

// Finish makes the copy certain, checks every frame of it and opens it. All bytes
// must have been written. A copy that is not whole gives ErrDamaged; remove the
// folder then, and start over from another peer.
func (i *Import) Finish(done func(*Store, Tail, error)) {
	if i.at < len(i.manifest) {
		panic(fmt.Sprintf("segment: import finished at %d of %d files, position %d", i.at, len(i.manifest), i.position))
	}
	waiting := len(i.manifest) + 1
	var failed error
	synced := func(err error) {
		failed = errors.Join(failed, err)
		waiting--
		switch {
		case waiting > 0:
		case failed != nil:
			done(nil, Tail{}, fmt.Errorf("sync %s: %w", i.folder, failed))
		default:
			i.open(done)
		}
	}
	for _, file := range i.manifest {
		i.f.Sync(fileName(i.folder, file.Segment), synced)
	}
	i.f.Sync(i.folder, synced)
}

// open reads all files whole, where Open would trust the older ones.
func (i *Import) open(done func(*Store, Tail, error)) {
	last := i.manifest[len(i.manifest)-1]
	var t Tail
	r := newRecovery(i.log, Position{Segment: last.Segment, Length: last.Length}, &t, func(s *Store, _ Torn, err error) {
		if err == nil && !slices.Equal(s.Manifest(), i.manifest) {
			err = fmt.Errorf("%w: %s is not what the manifest says", ErrDamaged, i.folder)
		}
		if err != nil {
			done(nil, Tail{}, err)
			return
		}
		s.certain.Index = s.last
		done(s, t, nil)
	})
	r.whole = i.manifest[0].Segment
	r.start()
}
