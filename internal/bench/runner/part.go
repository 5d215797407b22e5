package runner

// Part counts for a goroutine that reads one partition, message by message.
type Part struct {
	c                         *Count
	left, chunk               int64
	records, offsetSum, bytes int64
}

const partChunk = 500

// NewPart starts the count of one of the task's partitions.
func NewPart(t Task, c *Count) *Part {
	return &Part{c: c, left: t.Records / int64(t.Partitions), chunk: 1}
}

// Done counts a record, and says whether it was the partition's last.
func (p *Part) Done(offset int64, bytes int) bool {
	p.records++
	p.offsetSum += offset
	p.bytes += int64(bytes)
	p.left--
	if p.left > 0 && p.records < p.chunk {
		return false
	}
	p.c.Add(p.records, p.offsetSum, p.bytes)
	p.records, p.offsetSum, p.bytes = 0, 0, 0
	p.chunk = partChunk // the first record went alone, for its time
	return p.left <= 0
}
