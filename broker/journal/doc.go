// Package journal is the node's one write-ahead log: everything that raft asks to
// make durable, for all groups together. Updates gather into a batch while the
// batch before is written and synced, so the price of a sync is shared by whatever
// asked for one meanwhile. The journal also holds, in memory, the image that its
// updates make of each group.
//
// It never knows what is in an entry, applies none, and touches no segment file:
// checkpoints tell it which entries the segments have made superfluous.
//
// # Files
//
// The journal is a few files of one size, "00", "01" and so on, filled with zeros
// when they are made and used again and again from position 0. A batch stands in
// one file, beginning at a sector of 512 bytes; one that is larger than a file
// makes its file larger. So an update is never split, and is there as a whole or
// not at all.
//
// # Batches
//
// A batch is a header, the records of its updates, and zeros up to the next
// multiple of 511 bytes. Every 511 bytes of that go into a sector, behind a tag:
//
//	sector   0 'J'  1 first 511 bytes
//	         0 'j'  1 next 511 bytes
//	         ...
//
//	batch    0  "rpj2"
//	         4  CRC-32C of the header from 8 on and the records
//	         8  length of the records
//	        16  number    batches count from 1; all numbers are 8 bytes, little-endian
//	        24  salt      of the run: openings so far (upper half), random (lower half)
//	        32  start     number of the run's first batch
//	        40  synced    last batch known to be synced when this one was written
//	        48  oldest    first batch that matters once this one is synced
//	        56  size      of the file at least, once this one is synced
//	        64  records
//
// The tags are there because records hold what clients sent: no sector in the
// middle of a batch can be taken for the beginning of one.
//
// A record is an update; the numbers are uvarints (package codec), and what the
// field byte does not announce is left out:
//
//	group, fields (a byte)
//	install      0x01  replica, folder, index, term
//	hard state   0x02  term, vote, commit
//	entries      0x04  count, index of the first, and for each:
//	                   term, type (a byte), data (a length and bytes)
//	checkpoint   0x08  index, segment, length
//	destroyed    0x10  replica
//	forget       0x20
//	anew         0x40  no record of the group before this one counts
//
// # Torn or damaged
//
// A run is the journal's life from one opening to the next. It begins in a file of
// its own and with a salt greater than any before, and so voids whatever older
// runs wrote under its numbers; the random half tells two runs apart of which the
// first left no whole batch behind. Recovery takes the whole batches that are not
// void and
//
//   - goes up from the last one that any of them says was synced, as far as there
//     is no gap: there is the end. Beyond it nothing was promised;
//   - goes down from there to the oldest that matters. One that is missing was
//     synced: the journal is damaged, and so are the node's promises.
//
// Numbers below the oldest are leftovers in files that were used again; their
// absence says nothing. When the log has been quiet for a while an empty batch is
// written, the mark that the last one with updates was synced.
//
// All that tells of a batch's sync stands after it, mostly in the same file; and a file may
// be lost as a whole. So once the first batch of a file has landed, a witness of it is put
// behind the last batch of the file before: a sector with a tag of its own, 'W', and the
// header, in which the batch itself is the last that was synced. A file that was cut short
// is told by the size that its batches give. What a file loses from its last batches, behind
// the last that is known to be synced, nobody can tell from a torn end.
//
// A journal that has been made has a batch, if only an empty one: one without is lost.
//
// What recovery read at the end may stand in the system's memory alone, if the
// process died before its sync ended, or because that failed. So the last batch is
// written again as it is, with the size of its file, and synced, before anyone sees it.
//
// # Recycling
//
// An image begins in the file that holds its group's first update. When files run
// short, the images that begin in the oldest one are written again, whole, in the
// batch that opens the next file; that batch's "oldest" says that the file is not
// needed, and after its sync the file is free. The last free file is only ever
// opened by such a batch. While files merely become few, this waits for those
// images to become small: Pressure tells whose checkpoint would help.
package journal
