package histories

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/sim/prng"
)

// MinPayload is the length of a payload without filler, in bytes.
const MinPayload = 12

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Payload gives the bytes of a record that carries v, size bytes of them or
// MinPayload if that is more.
func Payload(v Value, size int) []byte {
	b := make([]byte, max(size, MinPayload))
	binary.LittleEndian.PutUint64(b[4:], uint64(v))
	prng.New(uint64(v)).Read(b[MinPayload:])
	binary.LittleEndian.PutUint32(b, crc32.Checksum(b[4:], castagnoli))
	return b
}

// ParsePayload gives the record that a payload at an offset makes in a history.
func ParsePayload(offset api.Offset, b []byte) Record {
	if len(b) < MinPayload {
		return Record{Offset: offset, Value: Unreadable, Corrupt: true}
	}
	return Record{
		Offset:  offset,
		Value:   Value(binary.LittleEndian.Uint64(b[4:])),
		Corrupt: crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b),
	}
}
