import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.elasticsearch.core.TimeValue;
import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.NamedXContentRegistry.Entry;
import org.elasticsearch.xcontent.ParseField;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xcontent.XContentParserConfiguration;
import org.elasticsearch.xcontent.XContentType;
import org.elasticsearch.xpack.core.ilm.DeleteAction;
import org.elasticsearch.xpack.core.ilm.LifecycleAction;
import org.elasticsearch.xpack.core.ilm.LifecyclePolicy;
import org.elasticsearch.xpack.core.ilm.LifecycleType;
import org.elasticsearch.xpack.core.ilm.SetPriorityAction;
import org.elasticsearch.xpack.core.ilm.TimeseriesLifecycleType;
import org.elasticsearch.xpack.core.ilm.action.PutLifecycleRequest;

/**
 * Reads lifecycle policies as the server reads the body of {@code PUT /_ilm/policy}. The distribution on Maven Central has its classes, but
 * not the module that answers such a request.
 */
public final class LifecycleCheck {

    /** The parts that our policies are made of. */
    private static final NamedXContentRegistry PARTS = new NamedXContentRegistry(List.of(
            new Entry(
                    LifecycleType.class,
                    new ParseField(TimeseriesLifecycleType.TYPE),
                    parser -> TimeseriesLifecycleType.INSTANCE),
            new Entry(LifecycleAction.class, new ParseField(SetPriorityAction.NAME), SetPriorityAction::parse),
            new Entry(LifecycleAction.class, new ParseField(DeleteAction.NAME), DeleteAction::parse)));

    public static void main(String[] files) throws Exception {
        for (String file : files) {
            Path path = Path.of(file);
            LifecyclePolicy policy = read(path, path.getFileName().toString().replace(".json", ""));
            System.out.println(policy.getName() + " " + policy.getPhases().keySet().stream().sorted().toList());
        }
    }

    private static LifecyclePolicy read(Path file, String name) throws Exception {
        XContentParserConfiguration parts = XContentParserConfiguration.EMPTY.withRegistry(PARTS);
        try (InputStream body = Files.newInputStream(file);
                XContentParser parser = XContentType.JSON.xContent().createParser(parts, body)) {
            PutLifecycleRequest request = PutLifecycleRequest.parseRequest(new Named(name), parser);
            if (request.validate() != null) {
                throw request.validate();
            }
            return request.getPolicy();
        }
    }

    /** The name comes from the address of the request. */
    private record Named(String name) implements PutLifecycleRequest.Factory {
        @Override
        public PutLifecycleRequest create(LifecyclePolicy policy) {
            return new PutLifecycleRequest(TimeValue.ZERO, TimeValue.ZERO, policy);
        }

        @Override
        public String getPolicyName() {
            return name;
        }
    }
}
