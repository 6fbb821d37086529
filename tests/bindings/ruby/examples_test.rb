# frozen_string_literal: true

# The examples, and the programs of the README, print what they promise.

class ExamplesTest < GipcTest
  PORTABLE = ENV["GIPC_TEST_OS"] == "posix"
  # Programs that start Ruby find the library, too.
  FOUND = {"RUBYLIB" => LIBRARY.join(":")}.freeze

  Dir["#{ROOT}/tests/examples/ruby/*.rb"].each do |file|
    name = File.basename(file, ".rb")
    define_method("test_example_#{name}") do
      needs :Async if File.read(file).include?('require "async"')
      skip "the portable half has none" if PORTABLE && %w[arrays listener template tree].include?(name)
      output = IO.popen(FOUND, [*RUBY, file], err: %i[child out], &:read)
      assert_equal File.read(file.sub(/rb\z/, "expected")), output
    end
  end

  # The programs in the comments about keepers; each one ends by itself.
  def test_the_programs_of_the_comments
    files = Dir["#{ROOT}/bindings/ruby/lib/gipc/keeper{,/*}.rb"]
    programs = files.flat_map { |file| File.read(file).scan(/(?:^ *#   .*\n)+/) }.grep(/Gipc\.keep/)
    assert_operator programs.size, :>=, 4
    programs.each do |program|
      output = IO.popen([*RUBY, "-rgipc", "-e", program.gsub(/^ *#   /, "")], err: %i[child out], &:read)
      assert_equal [true, ""], [$?.success?, output], program
    end
  end

  # Each Ruby block of the README is a program; what it prints follows each
  # `# =>` there.
  def test_the_programs_of_the_readme
    needs :Async
    programs = File.read("#{ROOT}/bindings/ruby/README.md").scan(/^```ruby\n(.*?)^```$/m).flatten
    assert_operator programs.size, :>=, 4
    programs.reject! { |program| program.include?("Template") } if PORTABLE
    programs.each do |program|
      output = IO.popen([*RUBY, "-e", program], err: %i[child out], &:read)
      assert_equal program.scan(/# => (.*)/).flatten, output.lines(chomp: true), program
    end
  end
end
