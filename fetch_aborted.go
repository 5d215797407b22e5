package kafka

import (
	"cmp"
	"fmt"
	"slices"
	"unsafe"

	"github.com/seed-7379b4e8/kafka/protocol"
)

// abortedBytes is what an aborted transaction is charged for: its place in the list, and in what a cutter notes of it.
const abortedBytes = int(unsafe.Sizeof(protocol.FetchResponseAbortedTransaction{})) + 32

// Aborted implements protocol.FetchVisitor: under ReadCommitted it gives memory for the list of aborted transactions, charged to the
// budget first. Records are not taken without their list.
func (v *fetchVisitor) Aborted(fp *protocol.FetchedPartition, n int) []protocol.FetchResponseAbortedTransaction {
	if v.f.cfg.isolation != ReadCommitted {
		return nil
	}
	size := n * abortedBytes
	if !v.admitList(fp, size) {
		v.unlisted = size
		return nil
	}
	v.listed = size
	v.f.sub.budget.made(int64(size))
	return make([]protocol.FetchResponseAbortedTransaction, n)
}

// admitList says whether a list of size bytes is wanted, and there is room: it is charged then.
func (v *fetchVisitor) admitList(fp *protocol.FetchedPartition, size int) bool {
	v.f.sub.mu.Lock()
	defer v.f.sub.mu.Unlock()
	p := v.expected(fp)
	return p != nil && fp.Partition.ErrorCode == protocol.None && !p.paused && size <= v.listLimit() &&
		v.reserve(int64(size), int64(size)) > 0
}

// listLimit is the most that a list may take: so much that there can be room for a batch beside it.
func (v *fetchVisitor) listLimit() int {
	return min(v.sizeLimit(), int(v.f.sub.budget.general()/2))
}

// leaveList is for when the list is not needed any more.
func (v *fetchVisitor) leaveList() {
	if v.listed > 0 {
		v.plan.left += int64(v.listed)
		v.f.sub.budget.unmade(int64(v.listed))
	}
	v.listed, v.unlisted = 0, 0
	v.cutter.aborted, v.cutter.pids = nil, nil
}

// tooManyAborted is for records that come with more aborted transactions than there may be room for.
func (v *fetchVisitor) tooManyAborted(p *partition) {
	p.fetch.need = 0
	v.askLater(p)
	v.f.markDirty(p)
	v.f.sub.fail(p, &CorruptRecordError{
		TopicPartition: p.tp, Offset: p.fetch.offset, NextOffset: p.fetch.offset + 1,
		Err: fmt.Errorf("broker %d lists %d aborted transactions for the records there, which need more memory than WithMaxBatchBytes allows",
			v.plan.node, v.unlisted/abortedBytes),
	})
}

// sortAborted puts aborted transactions in order of their first offset; not every broker does.
func sortAborted(list []protocol.FetchResponseAbortedTransaction) {
	slices.SortFunc(list, func(a, b protocol.FetchResponseAbortedTransaction) int {
		return cmp.Compare(a.FirstOffset, b.FirstOffset)
	})
}
