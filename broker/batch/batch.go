// Package batch is the record batch: the unit that a producer sends, a partition
// stores and a consumer fetches. The bytes are Kafka's format v2 (KIP-98), so
// they pass through the broker unchanged but for the base offset. It never
// decides an offset, a duplicate or a retention: it reads and writes batches.
//
// A batch, all numbers big-endian:
//
//	 0  base offset             8   the offset of the first record
//	 8  batch length            4   of what follows this field
//	12  partition leader epoch  4   not used here; written as -1, read as anything
//	16  magic                   1   2
//	17  crc                     4   CRC-32C of all that follows this field
//	21  attributes              2   bits 0-2 compression; no other bit may be set
//	23  last offset delta       4   count - 1
//	27  base timestamp          8   milliseconds; record timestamps are deltas to it
//	35  max timestamp           8
//	43  producer id             8   -1 is none
//	51  producer epoch          2
//	53  base sequence           4   the sequence of the first record
//	57  count                   4   of records, at least 1
//	61  records                     compressed as a whole, if at all
//
// A record; every number is a zigzag varint, and a length of -1 stands for null:
//
//	length | attributes (1 byte, 0) | timestamp delta | offset delta |
//	key length, key | value length, value |
//	number of headers, then each: key length, key | value length, value
//
// The base offset lies outside the CRC by design of the format: a partition
// assigns it without touching the rest.
package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/reprise-mq/reprise/broker/api"
)

// MaxBytes bounds every batch, both as it stands and with its records
// decompressed. A topic's own limit lies below it.
const MaxBytes = 32 << 20

// Causes for which a batch is refused. None of them passes with time: the
// producer must encode the records again.
var (
	// ErrCorrupt: the bytes are no valid batch. Answered as CORRUPT_BATCH.
	ErrCorrupt = errors.New("corrupt record batch")
	// ErrTooLarge: the batch, or what it decompresses to, is over the limit; send
	// fewer records at a time. Answered as BATCH_TOO_LARGE.
	ErrTooLarge = errors.New("record batch too large")
	// ErrUnsupportedCompression: there is no codec for the batch's compression.
	// Answered as UNSUPPORTED_COMPRESSION.
	ErrUnsupportedCompression = errors.New("unsupported compression of a record batch")
)

// Producer identifies a batch for duplicate detection.
type Producer struct {
	ID    api.ProducerID
	Epoch api.Epoch
	// Sequence of the batch's first record; the others follow.
	Sequence api.Sequence
}

// NoProducer marks a batch that is not idempotent: the id is 0, which is written
// as Kafka's -1. No producer has the id 0, so on the wire 0 is corrupt.
var NoProducer = Producer{}

// Info is what the header of a batch says.
type Info struct {
	// BaseOffset is the offset of the first record; record i has BaseOffset + i.
	BaseOffset api.Offset
	// Length of the whole batch in bytes.
	Length      int
	Compression Compression
	// Count of records, at least 1.
	Count                       int32
	BaseTimestamp, MaxTimestamp api.Milliseconds
	// Producer is 0, and so are Epoch and Sequence, if the batch is not idempotent.
	Producer api.ProducerID
	Epoch    api.Epoch
	Sequence api.Sequence
}

// Positions of the header's fields.
const (
	atLength        = 8
	atLeaderEpoch   = 12
	atMagic         = 16
	atCRC           = 17
	atAttributes    = 21
	atLastDelta     = 23
	atBaseTimestamp = 27
	atMaxTimestamp  = 35
	atProducerID    = 43
	atProducerEpoch = 51
	atSequence      = 53
	atCount         = 57
	headerSize      = 61
)

// Overhead is what a batch takes beside its records, in bytes.
const Overhead = headerSize

const (
	magic           = 2
	compressionBits = 7
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	order      = binary.BigEndian
)

// Next splits the first batch off several that follow one another, as in the
// answer to a fetch. It looks at the length only; Parse checks the batch.
func Next(data []byte) (first, rest []byte, err error) {
	if len(data) < headerSize {
		return nil, nil, corrupt("header cut short")
	}
	length := int64(order.Uint32(data[atLength:])) + atLeaderEpoch
	if length < headerSize || length > int64(len(data)) {
		return nil, nil, corrupt("length does not fit the data")
	}
	return data[:length:length], data[length:], nil
}

// Parse reads the header of exactly one batch, and checks its length, CRC and
// count. It does not look at the records.
func Parse(data []byte) (Info, error) {
	if len(data) > MaxBytes {
		return Info{}, ErrTooLarge
	}
	_, rest, err := Next(data)
	switch {
	case err != nil:
		return Info{}, err
	case len(rest) > 0:
		return Info{}, corrupt("bytes after the batch")
	case data[atMagic] != magic:
		return Info{}, corrupt("magic is not 2")
	case order.Uint32(data[atCRC:]) != checksum(data):
		return Info{}, corrupt("CRC does not match")
	case order.Uint16(data[atAttributes:])&^compressionBits != 0:
		return Info{}, corrupt("attributes of transactions, control records or append times")
	}
	info := Info{
		BaseOffset:    api.Offset(order.Uint64(data)),
		Length:        len(data),
		Compression:   Compression(data[atAttributes+1] & compressionBits),
		Count:         int32(order.Uint32(data[atCount:])),
		BaseTimestamp: api.Milliseconds(order.Uint64(data[atBaseTimestamp:])),
		MaxTimestamp:  api.Milliseconds(order.Uint64(data[atMaxTimestamp:])),
	}
	if err := info.checkCount(int32(order.Uint32(data[atLastDelta:]))); err != nil {
		return Info{}, err
	}
	if err := info.readProducer(data); err != nil {
		return Info{}, err
	}
	return info, nil
}

// SetBaseOffset writes the offset of the first record into a batch that Parse
// accepted.
func SetBaseOffset(data []byte, offset api.Offset) {
	if offset < 0 || len(data) < headerSize {
		panic(fmt.Sprintf("batch: base offset %d in %d bytes", offset, len(data)))
	}
	order.PutUint64(data, uint64(offset))
}

func (info *Info) checkCount(lastDelta int32) error {
	switch {
	case info.Count < 1:
		return corrupt("no records")
	case lastDelta != info.Count-1:
		return corrupt("count and last offset delta disagree")
	case info.BaseOffset < 0 || info.BaseOffset > math.MaxInt64-api.Offset(info.Count):
		return corrupt("base offset out of range")
	case info.Compression == None && int(info.Count) > (info.Length-headerSize)/minRecordSize:
		return corrupt("more records than bytes can hold")
	}
	return nil
}

func (info *Info) readProducer(data []byte) error {
	id := int64(order.Uint64(data[atProducerID:]))
	if id == -1 {
		return nil
	}
	info.Producer = api.ProducerID(id)
	info.Epoch = api.Epoch(order.Uint16(data[atProducerEpoch:]))
	info.Sequence = api.Sequence(order.Uint32(data[atSequence:]))
	if info.Producer < 1 || info.Epoch < 0 || info.Sequence < 0 {
		return corrupt("producer id, epoch or sequence out of range")
	}
	return nil
}

// checksum of a batch, as its CRC field should have it.
func checksum(data []byte) uint32 { return crc32.Checksum(data[atAttributes:], castagnoli) }

func corrupt(what string) error { return fmt.Errorf("%w: %s", ErrCorrupt, what) }
