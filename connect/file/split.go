package file

import "bytes"

// splitter finds the ends of records in a buffer. It remembers the next quote, so that a file without quotes is not
// searched for them line by line.
type splitter struct {
	csv   bool
	comma byte
	// quote is the index of the first quote at or after quoteFrom in a buffer of length quoteTo, or quoteTo.
	quote, quoteFrom, quoteTo int
}

// span is a record in a buffer: its text without the line end, where the next one begins, and the line ends passed.
type span struct {
	start, end, next int
	lines            int
}

// next finds the record that begins at from. It is false when the buffer does not hold all of it; atEOF says that
// nothing follows the buffer.
func (s *splitter) next(buf []byte, from int, atEOF bool) (span, bool) {
	if from >= len(buf) {
		return span{}, false
	}
	end := bytes.IndexByte(buf[from:], '\n')
	if end >= 0 {
		end += from
	}
	if s.csv {
		stop := end
		if stop < 0 {
			stop = len(buf)
		}
		if s.firstQuote(buf, from) < stop {
			return s.quoted(buf, from, atEOF)
		}
	}
	if end < 0 {
		if !atEOF {
			return span{}, false
		}
		return span{start: from, end: trimReturn(buf, from, len(buf)), next: len(buf), lines: 1}, true
	}
	return span{start: from, end: trimReturn(buf, from, end), next: end + 1, lines: 1}, true
}

// firstQuote returns the index of the first quote at or after from, len(buf) when there is none.
func (s *splitter) firstQuote(buf []byte, from int) int {
	known := s.quote < s.quoteTo || s.quoteTo == len(buf)
	if known && from >= s.quoteFrom && from <= s.quote {
		return s.quote
	}
	i := bytes.IndexByte(buf[from:], '"')
	if i < 0 {
		i = len(buf) - from
	}
	s.quote, s.quoteFrom, s.quoteTo = from+i, from, len(buf)
	return s.quote
}

// reset forgets where quotes are: the buffer has moved.
func (s *splitter) reset() { s.quote, s.quoteFrom, s.quoteTo = 0, 0, -1 }

// quoted finds the end of a CSV record that has quotes. What follows a closing quote, and a quote inside a plain value,
// is taken as it stands: the decoder complains about it, and the rest of the file is not taken for a value.
func (s *splitter) quoted(buf []byte, from int, atEOF bool) (span, bool) {
	lines := 1
	for i := from; i < len(buf); {
		if buf[i] == '"' {
			end := closingQuote(buf, i+1)
			if end < 0 || (end == len(buf)-1 && !atEOF) {
				lines += bytes.Count(buf[i:], newline)
				break
			}
			lines += bytes.Count(buf[i:end], newline)
			i = end + 1
		}
		for i < len(buf) && buf[i] != s.comma && buf[i] != '\n' {
			i++
		}
		if i < len(buf) && buf[i] == '\n' {
			return span{start: from, end: trimReturn(buf, from, i), next: i + 1, lines: lines}, true
		}
		i++
	}
	if !atEOF {
		return span{}, false
	}
	return span{start: from, end: trimReturn(buf, from, len(buf)), next: len(buf), lines: lines}, true
}

// closingQuote returns the index of the quote that ends the value that i is in, or -1.
func closingQuote(buf []byte, i int) int {
	for {
		n := bytes.IndexByte(buf[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		if i+1 == len(buf) || buf[i+1] != '"' {
			return i
		}
		i += 2
	}
}

var newline = []byte{'\n'}

func trimReturn(buf []byte, from, end int) int {
	if end > from && buf[end-1] == '\r' {
		return end - 1
	}
	return end
}
