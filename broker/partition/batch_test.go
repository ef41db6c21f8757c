package partition

import (
	"encoding/binary"
	"hash/crc32"
)

// header makes a batch that claims count records and holds none: only the header is
// of interest here. It says that the records are compressed, so that any count goes.
// The id 0 makes a batch without a producer.
func header(id, epoch, sequence, count int64) []byte {
	if id == 0 {
		id, epoch, sequence = -1, -1, -1
	}
	b := make([]byte, 61)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	b[16] = 2
	binary.BigEndian.PutUint16(b[21:], 1)
	binary.BigEndian.PutUint32(b[23:], uint32(count-1))
	binary.BigEndian.PutUint64(b[43:], uint64(id))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	binary.BigEndian.PutUint32(b[53:], uint32(sequence))
	binary.BigEndian.PutUint32(b[57:], uint32(count))
	return stamped(b, 0)
}

// stamped gives a batch's records a time stamp.
func stamped(b []byte, time int64) []byte {
	binary.BigEndian.PutUint64(b[27:], uint64(time))
	binary.BigEndian.PutUint64(b[35:], uint64(time))
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}
