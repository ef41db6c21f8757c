// Package zstd is the codec of zstd for record batches. It stands apart from
// package batch so that only real processes link it: the library's compressed
// bytes differ from one version and processor to the next, which the simulator
// must not see. It never keeps data from call to call.
package zstd

import (
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/reprise-mq/reprise/broker/batch"
)

// maxWindow bounds the memory of a decoder. The producers of the field stay at
// or below 8 MiB, which is also what the zstd format asks decoders to support.
const maxWindow = 8 << 20

// firstGuess is the space for the output of a frame that does not say its size.
const firstGuess = 64 << 10

type codec struct {
	encoder *zstd.Encoder
	decoder *zstd.Decoder
}

// New makes a codec of batch.Zstd at the library's default level.
func New() batch.Codec {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(fmt.Sprintf("zstd: options of the encoder refused: %v", err))
	}
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderLowmem(true), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(fmt.Sprintf("zstd: options of the decoder refused: %v", err))
	}
	return &codec{encoder: encoder, decoder: decoder}
}

// ID is batch.Zstd.
func (c *codec) ID() batch.Compression { return batch.Zstd }

// Compress appends one frame that says the size of its contents and carries no
// checksum: the batch has its own.
func (c *codec) Compress(dst, src []byte) []byte { return c.encoder.EncodeAll(src, dst) }

// Decompress reads frames to the end of src.
func (c *codec) Decompress(src []byte, limit int) ([]byte, error) {
	space, err := space(src, limit)
	if err != nil {
		return nil, err
	}
	// The library writes no further than the capacity it is given. A frame that
	// keeps quiet about its size is tried with more space each time, so what is
	// allocated stays within a few times of what comes out.
	for {
		plain, err := c.decoder.DecodeAll(src, make([]byte, 0, space))
		tooLarge := errors.Is(err, zstd.ErrDecoderSizeExceeded)
		switch {
		case err == nil:
			return plain, nil
		case tooLarge && space < limit:
			space = min(4*space, limit)
		case tooLarge, errors.Is(err, zstd.ErrWindowSizeExceeded):
			return nil, batch.ErrTooLarge
		default:
			return nil, fmt.Errorf("%w: zstd data", batch.ErrCorrupt)
		}
	}
}

// space is what the first frame says it needs, or a guess.
func space(src []byte, limit int) (int, error) {
	var header zstd.Header
	if header.Decode(src) != nil {
		return 0, fmt.Errorf("%w: zstd header", batch.ErrCorrupt)
	}
	switch {
	case !header.HasFCS:
		return min(firstGuess, limit), nil
	case header.FrameContentSize > uint64(limit):
		return 0, batch.ErrTooLarge
	}
	return max(int(header.FrameContentSize), 1), nil
}
