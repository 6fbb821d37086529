# frozen_string_literal: true

# What is public is documented and typed, and nothing else is.

class DocsTest < GipcTest
  SOURCES = Dir["#{ROOT}/bindings/ruby/lib/**/*.rb"].freeze
  TYPES = File.read("#{ROOT}/bindings/ruby/sig/gipc.rbs")

  def test_every_public_method_has_its_comment_and_its_type
    public_methods.each do |owner, methods|
      methods.each do |method|
        file, line = method.source_location
        comment = File.readlines(file)[0...line - 1].reverse.take_while { |text| text.match?(/\A\s*(#|attr_|$)/) }
        assert comment.any? { |text| text.include?("#") }, "#{owner}##{method.name} has no comment"
        next if comment.any? { |text| text.include?("@private") }

        name = Regexp.escape(method.name.to_s)
        assert_match(/(def (self\.)?|attr_reader )#{name}:/, TYPES, "#{owner}##{method.name} has no type")
      end
    end
  end

  def test_every_error_has_its_type
    errors = Gipc.constants.map { |name| Gipc.const_get(name) }
                 .select { |value| value.is_a?(Class) && value <= Gipc::Error }
    assert_operator errors.size, :>=, 11
    errors.each { |error| assert_match(/class #{error.name[6..]} < /, TYPES) }
  end

  def test_the_types_are_valid
    script = 'require "rbs"; require "rbs/cli"; RBS::CLI.new(stdout: $stdout, stderr: $stderr).run(ARGV)'
    skip "rbs is not installed" unless system(RbConfig.ruby, "-rrbs", "-e", "", err: File::NULL)
    # What it prints is another thing in each version of rbs.
    output = IO.popen([RbConfig.ruby, "-e", script, "--", "-I", "#{ROOT}/bindings/ruby/sig", "validate"],
                      err: %i[child out], &:read)
    assert_predicate $?, :success?, output
  end

  # Each file opens with what it is for.
  def test_every_file_says_what_it_is_for
    SOURCES.each { |file| assert_match(/\A# frozen_string_literal: true\n\n# [A-Z]/, File.read(file), file) }
  end

  private

  def public_methods
    {
      "Gipc" => Gipc.singleton_methods(false).map { |name| Gipc.method(name) },
      "Gipc::Handle" => instance_methods_of(Gipc::Handle) + instance_methods_of(Gipc.const_get(:Settings)),
      "Gipc::Process" => instance_methods_of(Gipc::Process),
      "Gipc::Template" => [Gipc::Template.method(:open)] + instance_methods_of(Gipc::Template),
      "Gipc::Pool" => instance_methods_of(Gipc::Pool) + [Gipc::Pool.method(:open)],
      "Gipc::Pool::Task" => instance_methods_of(Gipc::Pool::Task),
      "Gipc::Keeper" => instance_methods_of(Gipc::Keeper),
      "Gipc::Keeper::Plan" => instance_methods_of(Gipc::Keeper::Plan),
      "Gipc::Keeper::Service" => instance_methods_of(Gipc::Keeper::Service),
      "Gipc::ServiceFacts" => instance_methods_of(Gipc::ServiceFacts),
      "Gipc::TaskFacts" => instance_methods_of(Gipc::TaskFacts),
      "Gipc::RemoteError" => instance_methods_of(Gipc::RemoteError),
      "Gipc::Timeout" => instance_methods_of(Gipc::Timeout)
    }
  end

  def instance_methods_of(owner)
    owner.public_instance_methods(false).map { |name| owner.instance_method(name) }
  end
end
