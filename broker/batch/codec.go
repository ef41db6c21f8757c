package batch

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
)

// Compression numbers the ways to compress a batch's records, as Kafka does.
type Compression uint8

// Compressions that Reprise knows.
const (
	None Compression = 0
	Gzip Compression = 1
	Zstd Compression = 4
)

// String is the name by which users know a compression.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case 2:
		return "snappy"
	case 3:
		return "lz4"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("compression %d", uint8(c))
}

// Codec compresses and decompresses. It may keep buffers from call to call, so
// each process makes its own.
type Codec interface {
	// ID says which compression it is.
	ID() Compression
	// Compress appends the compressed bytes of src to dst.
	Compress(dst, src []byte) []byte
	// Decompress gives what was compressed. It answers ErrTooLarge rather than
	// build more than limit bytes, and ErrCorrupt if src is not its own.
	Decompress(src []byte, limit int) ([]byte, error)
}

// Codecs is the set of codecs that a process accepts, one for each compression.
// The zero value accepts nothing; a set made by NewCodecs never changes.
type Codecs struct{ byID [compressionBits + 1]Codec }

// NewCodecs makes the set of the codecs given, and that of None.
func NewCodecs(codecs ...Codec) Codecs {
	var set Codecs
	for _, c := range append(codecs, Plain{}) {
		set.byID[c.ID()] = c
	}
	return set
}

func (set Codecs) decompress(id Compression, src []byte, limit int) ([]byte, error) {
	if set.byID[id] == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnsupportedCompression, id)
	}
	return set.byID[id].Decompress(src, limit)
}

// Plain is the codec of None.
type Plain struct{}

// ID is None.
func (Plain) ID() Compression { return None }

// Compress appends src as it is.
func (Plain) Compress(dst, src []byte) []byte { return append(dst, src...) }

// Decompress gives src itself.
func (Plain) Decompress(src []byte, limit int) ([]byte, error) {
	if len(src) > limit {
		return nil, ErrTooLarge
	}
	return src, nil
}

// gzipCodec is the standard library's gzip, which is pure Go: its output is the
// same on every machine, so the simulator can use it.
type gzipCodec struct {
	writer *gzip.Writer
	// reader is nil until first used: a gzip.Reader is made from a valid header.
	reader *gzip.Reader
}

// NewGzip makes a codec of Gzip.
func NewGzip() Codec { return &gzipCodec{writer: gzip.NewWriter(io.Discard)} }

// ID is Gzip.
func (g *gzipCodec) ID() Compression { return Gzip }

// Compress appends one gzip member without name or time.
func (g *gzipCodec) Compress(dst, src []byte) []byte {
	out := bytes.NewBuffer(dst)
	g.writer.Reset(out)
	_, err := g.writer.Write(src)
	if err == nil {
		err = g.writer.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("batch: gzip into memory failed after %d of %d bytes", out.Len(), len(src)))
	}
	return out.Bytes()
}

// Decompress reads gzip members to the end of src.
func (g *gzipCodec) Decompress(src []byte, limit int) ([]byte, error) {
	if err := g.reset(bytes.NewReader(src)); err != nil {
		return nil, corrupt("gzip header")
	}
	// ReadAll grows with what really comes out, so a small bomb stays small.
	plain, err := io.ReadAll(io.LimitReader(g.reader, int64(limit)+1))
	switch {
	case err != nil:
		return nil, corrupt("gzip data")
	case len(plain) > limit:
		return nil, ErrTooLarge
	}
	return plain, nil
}

func (g *gzipCodec) reset(src io.Reader) (err error) {
	if g.reader == nil {
		g.reader, err = gzip.NewReader(src)
		return err
	}
	return g.reader.Reset(src)
}
