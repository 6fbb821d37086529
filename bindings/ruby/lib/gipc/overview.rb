# frozen_string_literal: true

module Gipc
  # All handles and processes of this process: yields each {Record}, and is printed as a
  # table.  It is not an Array, of which puts would print each element.
  class Overview
    include Enumerable

    # A handle or a process; nil is the value of what does not apply.
    #
    # - +kind+: :handle or :process
    # - +id+: a number that no other one has, or had
    # - +name+, +pid+, and when it was reaped +code+ or +signal+: of a process
    # - +state+: :open, :ended, :closing or :closed; of a process :running, :ended, :reaped
    # - +age+: seconds
    # - +idle+: seconds since a message was put or got, known from the first overview on
    # - +transport_in+, +transport_out+: :socket, :network, :pipe or :ring
    # - +queued+: bytes not yet written; +unread+: bytes not yet got, also in the kernel
    # - +messages_in+, +messages_out+, +bytes_in+, +bytes_out+
    # - +directions+: an Array of :read and :write
    # - +read_fd+, +write_fd+
    # - +pair+: the same at both ends of a pipe of this process
    # - +on_loop+; +busy+: an operation is in progress
    Record = Struct.new(:kind, :id, :name, :pid, :state, :age, :idle, :transport_in,
                        :transport_out, :queued, :unread, :messages_in, :messages_out,
                        :bytes_in, :bytes_out, :directions, :read_fd, :write_fd, :pair,
                        :on_loop, :busy, :code, :signal, keyword_init: true)

    SYMBOLS = %i[kind state transport_in transport_out].freeze
    SECONDS = %i[age idle].freeze
    FLAGS = %i[on_loop busy].freeze
    COLUMNS = %w[id kind name pid state age idle transport queued unread in out].freeze
    private_constant :SYMBOLS, :SECONDS, :FLAGS, :COLUMNS

    # @private
    def self.look
      records = Native.records_new
      look = []
      while (native = Native.records_at(records, look.size))
        look << record_of(native)
      end
      new(look)
    end

    # @private
    def self.record_of(native)
      Record.new(**Record.members.to_h { |key| [key, value(native, key)] })
    end
    private_class_method :record_of

    def self.value(native, key)
      return Native.record_word(native, key.to_s)&.to_sym if SYMBOLS.include?(key)
      return Native.record_word(native, "name")&.force_encoding(Encoding::UTF_8) if key == :name

      number = Native.record_number(native, key.to_s)
      return if number.negative?
      return directions(number.to_i) if key == :directions
      return number.positive? if FLAGS.include?(key)

      SECONDS.include?(key) ? number : number.to_i
    end
    private_class_method :value

    def self.directions(mask)
      {read: Native::READ, write: Native::WRITE}.filter_map { |name, bit| name if mask.anybits?(bit) }
    end
    private_class_method :directions

    # @private
    def initialize(records)
      @records = records.freeze
    end

    # @yieldparam record [Record]
    # @return [self, Enumerator] the latter without a block
    def each(&block)
      return enum_for(:each) { size } unless block

      @records.each(&block)
      self
    end

    # @return [Integer]
    def size = @records.size

    # @return [Record, nil]
    def [](index) = @records[index]

    # A table, with a line for each record.
    # @return [String]
    def to_s
      rows = [COLUMNS] + map { |record| row(record) }
      widths = rows.transpose.map { |column| column.map(&:size).max }
      rows.map { |cells| cells.zip(widths).map { |cell, width| cell.ljust(width) }.join("  ").rstrip }
          .join("\n")
    end

    private

    def row(record)
      fds = [record.read_fd, record.write_fd].compact
      transports = [record.transport_in, record.transport_out].compact.uniq
      cells = {**record.to_h, name: record.name || (["fd", *fds].join(" ") if fds.any?),
                              transport: (transports.join(" ") if transports.any?),
                              in: record.messages_in, out: record.messages_out}
      COLUMNS.map { |name| cell(cells[name.to_sym]) }
    end

    # One row is one line, whatever a name has in it.
    def cell(value)
      return "-" if value.nil?

      value.is_a?(Float) ? format("%.1f", value) : value.to_s.scrub("?").gsub(/[^[:print:]]/, "?")
    end
  end

  class << self
    # All handles and processes of this process, also those of other threads and those that
    # nothing refers to any more but that are still there.
    #
    #   puts Gipc.overview
    #
    # @return [Overview]
    def overview = Overview.look

    # Writes a line of JSON for each event of this process to a file, from now on.  The
    # events are start, end, put, get, stall, bell, task, restart and dropped:
    # gipc_trace(3) describes them.  Never waits: lines that cannot be written are dropped,
    # and a later line counts them.  A child writes none, unless it calls this, too.
    #
    # @param file [IO, Integer, nil] a file, a pipe or a stream socket, of which the trace
    #   keeps a copy; its buffer is not used.  nil ends the trace.
    # @raise [SystemCallError] if it is not open for writing, or is a socket that keeps
    #   message boundaries
    # @raise [ArgumentError] if it is not a descriptor
    # @return [nil]
    def trace(file)
      fd = file.respond_to?(:fileno) ? file.fileno : file
      unless fd.nil? || (fd.is_a?(Integer) && fd >= 0)
        raise ArgumentError, "#{file.inspect} is not a descriptor to write a trace to"
      end

      Native.trace(fd || -1)
      nil
    end
  end
end
