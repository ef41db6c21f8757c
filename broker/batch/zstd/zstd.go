// Package zstd is the codec of zstd for record batches. It stands apart from
// package batch so that only real processes link it: the library's compressed
// bytes differ from one version and processor to the next, which the simulator
// must not see. It never keeps data from call to call.
package zstd

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/reprise-mq/reprise/broker/batch"
)

// maxWindow bounds the memory of a decoder. The producers of the field stay at
// or below 8 MiB, which is also what the zstd format asks decoders to support.
const maxWindow = 8 << 20

type codec struct {
	encoder *zstd.Encoder
	// whole decodes into one buffer of known size; stream is for all else. They
	// are two because a stream left in the middle would block a whole decode.
	whole, stream *zstd.Decoder
}

// New makes a codec of batch.Zstd at the library's default level.
func New() batch.Codec {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("zstd: options of the encoder refused: %v", err))
	}
	return &codec{
		encoder: encoder,
		whole:   newDecoder(zstd.WithDecodeAllCapLimit(true)),
		stream:  newDecoder(),
	}
}

func newDecoder(more ...zstd.DOption) *zstd.Decoder {
	// With a concurrency of 1 the library starts no goroutine.
	options := append(more, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	decoder, err := zstd.NewReader(nil, options...)
	if err != nil {
		panic(fmt.Sprintf("zstd: options of the decoder refused: %v", err))
	}
	return decoder
}

// ID is batch.Zstd.
func (c *codec) ID() batch.Compression { return batch.Zstd }

// Compress appends one frame without a checksum: the batch has its own.
func (c *codec) Compress(dst, src []byte) []byte { return c.encoder.EncodeAll(src, dst) }

// Decompress reads frames to the end of src.
func (c *codec) Decompress(src []byte, limit int) ([]byte, error) {
	var header zstd.Header
	if header.Decode(src) != nil {
		return nil, corrupt()
	}
	if header.HasFCS {
		if header.FrameContentSize > uint64(limit) {
			return nil, batch.ErrTooLarge
		}
		// The usual case: one frame that says how long its contents are. The library
		// writes no further than the capacity it is given.
		plain, err := c.whole.DecodeAll(src, make([]byte, 0, header.FrameContentSize))
		if err == nil {
			return plain, nil
		}
	}
	return c.read(src, limit)
}

// read decodes piece by piece and stops at the limit, so what is allocated grows
// with what really comes out.
func (c *codec) read(src []byte, limit int) ([]byte, error) {
	if c.stream.Reset(bytes.NewReader(src)) != nil {
		return nil, corrupt()
	}
	plain, err := io.ReadAll(io.LimitReader(c.stream, int64(limit)+1))
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), err == nil && len(plain) > limit:
		return nil, batch.ErrTooLarge
	case err != nil:
		return nil, corrupt()
	}
	return plain, nil
}

func corrupt() error { return fmt.Errorf("%w: zstd data", batch.ErrCorrupt) }
